/** How features are added up (paper §3.3), and what one weight belongs to. */
export const fusions = [
  "sum", "unbounded", "softmax", "fast",
  "unbounded-channel", "softmax-channel", "fast-channel",
  "unbounded-pixel", "softmax-pixel", "fast-pixel",
] as const; // prettier-ignore

/**
 * `sum`: plain. `unbounded`: `Σ w·x`. `softmax`: `Σ softmax(w)·x`. `fast`: `Σ relu(w)·x / (Σ relu(w) + 1e-4)`, the
 * paper's. Without a suffix one weight per feature; `-channel` and `-pixel` one for each of those.
 */
export type FusionName = (typeof fusions)[number];

/** A fusion's name taken apart. */
export function fusionParts(name: FusionName): {
  kind: "sum" | "unbounded" | "softmax" | "fast";
  per: "feature" | "channel" | "pixel";
} {
  const [kind, per = "feature"] = name.split("-");
  return { kind, per } as ReturnType<typeof fusionParts>;
}
