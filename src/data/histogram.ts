/** Counts in bins: `counts[i]` values lie in `[edges[i], edges[i + 1])`. */
export interface Histogram {
  /** Ascending, one more than the counts. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
}

/** Counts values in bins between the edges; values beyond them count in the first or the last bin, NaN nowhere. */
export function histogram(values: Iterable<number>, edges: readonly number[]): Histogram {
  const counts = new Array<number>(edges.length - 1).fill(0);
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    let bin = 0;
    while (bin < counts.length - 1 && value >= edges[bin + 1]!) bin++;
    counts[bin]!++;
  }
  return { edges, counts };
}

/** The value below which the fraction `part` of the values lie (nearest rank); NaN of none. */
export function quantile(values: readonly number[], part: number): number {
  if (values.length === 0) return NaN;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
}
