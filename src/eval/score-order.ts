/**
 * Sorts `order[from … to)`, positions in `scores`, by falling score; equal scores stay in the order they have.
 *
 * Both matching and the curve depend on that stability (the reference sorts with a merge sort for it), and a
 * comparator passed to the built-in sort is several times slower.
 * @param scratch at least as long as `order`
 */
export function sortByScore(
  order: Int32Array,
  from: number,
  to: number,
  scores: Float64Array,
  scratch: Int32Array,
): void {
  if (to - from <= RUN) return insertionSort(order, from, to, scores);
  for (let start = from; start < to; start += RUN)
    insertionSort(order, start, Math.min(start + RUN, to), scores);
  let source = order;
  let target = scratch;
  for (let width = RUN; width < to - from; width *= 2) {
    for (let start = from; start < to; start += 2 * width)
      merge(source, target, start, Math.min(start + width, to), Math.min(start + 2 * width, to), scores);
    [source, target] = [target, source];
  }
  if (source !== order) order.set(source.subarray(from, to), from);
}

const RUN = 16;

function insertionSort(order: Int32Array, from: number, to: number, scores: Float64Array): void {
  for (let i = from + 1; i < to; i++) {
    const moving = order[i]!;
    const score = scores[moving]!;
    let j = i - 1;
    for (; j >= from && scores[order[j]!]! < score; j--) order[j + 1] = order[j]!;
    order[j + 1] = moving;
  }
}

function merge(
  source: Int32Array,
  target: Int32Array,
  start: number,
  middle: number,
  end: number,
  scores: Float64Array,
): void {
  let left = start;
  let right = middle;
  for (let at = start; at < end; at++) {
    const takeLeft = right >= end || (left < middle && scores[source[left]!]! >= scores[source[right]!]!);
    target[at] = takeLeft ? source[left++]! : source[right++]!;
  }
}
