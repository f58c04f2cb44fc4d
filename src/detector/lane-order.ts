import { InterruptedError } from "../errors.ts";

/**
 * Work on the items of a row, up to `most()` of them under way at once. Results come in the order of the row, each as
 * soon as it and those before it are done; items are taken only as there is room, also while a result is waited for.
 *
 * @throws {InterruptedError} when the signal is aborted, after what is waited for just then
 * @throws what the row or the work throws; what was under way is left to itself, as when the results are left early
 */
export async function* inOrder<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
  most: () => number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Result> {
  const row = (async function* () {
    yield* items;
  })();
  const underWay: Promise<Result>[] = [];
  let asked: Promise<IteratorResult<Item>> | undefined;
  let ended = false;
  try {
    while (true) {
      if (!ended && underWay.length < most()) quietly((asked ??= row.next()));
      const [oldest] = underWay;
      if (!asked && !oldest) return;
      if (signal?.aborted) throw new InterruptedError();
      // Of an item and a result that are both there the item comes first: its work begins while the result is looked at.
      const item = await Promise.race([
        ...(asked ? [asked] : []),
        ...(oldest ? [oldest.then(() => undefined)] : []),
      ]);
      if (!item) yield await underWay.shift()!;
      else {
        if (signal?.aborted) throw new InterruptedError(); // it may be what the abort made of it
        asked = undefined;
        if (item.done) ended = true;
        else underWay.push(quietly(work(item.value)));
      }
    }
  } finally {
    const closed = quietly(row.return(undefined));
    if (!asked) await closed; // an item that is still waited for may never come
  }
}

/** A promise whose failure is told to whoever waits for it, if anybody does. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
