/** The levels of a pyramid: level `l` has stride `2^l`. */
export interface Levels {
  readonly min: number;
  readonly max: number;
}

/**
 * A place where features meet. Inputs are numbered: the pyramid's levels from below are 0, 1, …, and each node takes
 * the next number. Every input is brought to the node's level, then they are merged.
 */
export interface PyramidNode {
  readonly level: number;
  readonly inputs: readonly number[];
  /** How the inputs merge: by the model's fusion (the default), or NAS-FPN's global attention of the first two, plus the rest. */
  readonly merge?: "attention";
}

/** A feature network is data; one builder (`pyramid.ts`) runs them all. A level's output is its last node. */
export interface FeatureNetwork {
  readonly nodes: (levels: Levels) => readonly PyramidNode[];
  /** What the heads see: every level (the default), or the backbone's top level alone. */
  readonly outputs?: "all" | "top";
  /** Max-pooling's window where a node takes from a finer level: stride + 1 (the family's), or the stride (NAS-FPN's). */
  readonly pooling?: "overlapping" | "exact";
  /** NAS-FPN's nodes add, whatever the model's fusion is. */
  readonly fusion?: "sum";
  readonly source: string;
}

const ascending = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
const descending = (from: number, to: number): number[] => ascending(to, from).reverse();

/** Numbers the nodes as they are joined, and remembers every level's so far. */
function drawing({ min, max }: Levels): {
  nodes: PyramidNode[];
  all: (level: number) => number[];
  latest: (level: number) => number;
  join: (level: number, inputs: number[]) => void;
} {
  const numbers = new Map(ascending(min, max).map((level) => [level, [level - min]]));
  const nodes: PyramidNode[] = [];
  return {
    nodes,
    all: (level) => [...numbers.get(level)!],
    latest: (level) => numbers.get(level)!.at(-1)!,
    join: (level, inputs) => {
      numbers.get(level)!.push(max - min + 1 + nodes.length);
      nodes.push({ level, inputs });
    },
  };
}

/** Top-down (Lin et al. 2017; paper figure 2a): each level takes what lies above it. The top level too has a convolution. */
export function fpn(levels: Levels): readonly PyramidNode[] {
  const { nodes, latest, join } = drawing(levels);
  join(levels.max, [latest(levels.max)]);
  for (const level of descending(levels.max - 1, levels.min)) join(level, [latest(level), latest(level + 1)]);
  return nodes;
}

/** Top-down, then bottom-up (Liu et al. 2018; paper figure 2b). */
export function panet(levels: Levels): readonly PyramidNode[] {
  const { nodes, latest, join } = drawing(levels);
  join(levels.max, [latest(levels.max)]);
  for (const level of descending(levels.max - 1, levels.min)) join(level, [latest(level), latest(level + 1)]);
  join(levels.min, [latest(levels.min)]);
  for (const level of ascending(levels.min + 1, levels.max))
    join(
      level,
      [latest(level), latest(level - 1)].sort((a, b) => a - b),
    );
  return nodes;
}

/** PANet without its two nodes of one input (paper §3.2; figure 2e of the first version). */
export function simplifiedPanet(levels: Levels): readonly PyramidNode[] {
  const { nodes, latest, join } = drawing(levels);
  for (const level of descending(levels.max - 1, levels.min)) join(level, [latest(level), latest(level + 1)]);
  for (const level of ascending(levels.min + 1, levels.max)) join(level, [latest(level), latest(level - 1)]);
  return nodes;
}

/** Down, then up, with the level's own input joined in again on the way up; no node with a single input (paper §3.2, figure 2d). */
export function bifpn(levels: Levels): readonly PyramidNode[] {
  const { nodes, all, latest, join } = drawing(levels);
  for (const level of descending(levels.max - 1, levels.min)) join(level, [latest(level), latest(level + 1)]);
  for (const level of ascending(levels.min + 1, levels.max)) join(level, [...all(level), latest(level - 1)]);
  return nodes;
}

/** BiFPN and its mirror image (up, then down), side by side, and their outputs added (automl `qufpn_config`). */
export function qufpn(levels: Levels): readonly PyramidNode[] {
  const { nodes, all, latest, join } = drawing(levels);
  const { min, max } = levels;
  for (const level of descending(max - 1, min)) join(level, [latest(level), latest(level + 1)]);
  for (const level of ascending(min + 1, max)) join(level, [...all(level), latest(level - 1)]);
  const first = new Map(ascending(min, max).map((level) => [level, latest(level)]));
  const second = new Map(ascending(min, max).map((level) => [level, [level - min]]));
  const also = (level: number, inputs: number[]): void => {
    join(level, inputs);
    second.get(level)!.push(latest(level));
  };
  const last = (level: number): number => second.get(level)!.at(-1)!;
  for (const level of ascending(min + 1, max)) also(level, [level - min, last(level - 1)]);
  for (const level of descending(max - 1, min)) also(level, [...second.get(level)!, last(level + 1)]);
  for (const level of descending(max, min)) join(level, [first.get(level)!, last(level)]);
  return nodes;
}

/** Two layers of nodes, each fed by every level of the layer before (named in paper table 5; form deduced from its counts). */
export function fullyConnected(levels: Levels): readonly PyramidNode[] {
  const nodes: PyramidNode[] = [];
  const count = levels.max - levels.min + 1;
  for (const layer of [0, 1])
    for (const level of ascending(levels.min, levels.max))
      nodes.push({ level, inputs: ascending(layer * count, (layer + 1) * count - 1) });
  return nodes;
}

/** The cell found by search (Ghiasi et al. 2019), for levels 3–7: sums, and global attention where marked. */
export function nasFpn(levels: Levels): readonly PyramidNode[] {
  if (levels.min !== 3 || levels.max !== 7)
    throw new RangeError(`NAS-FPN's cell was found for levels 3 to 7, not ${levels.min} to ${levels.max}`);
  const attention = "attention" as const;
  return [
    { level: 4, inputs: [1, 3], merge: attention },
    { level: 4, inputs: [1, 5] },
    { level: 3, inputs: [0, 6] },
    { level: 4, inputs: [6, 7] },
    { level: 5, inputs: [7, 8, 2], merge: attention },
    { level: 7, inputs: [6, 9, 4], merge: attention },
    { level: 6, inputs: [9, 10], merge: attention },
  ];
}

const nothing = (): readonly PyramidNode[] => [];

/** Every feature network by the name users type. */
export const featureNetworks = {
  none: { nodes: nothing, source: "heads on the backbone's own levels, as SSD has it (Liu et al. 2016)" },
  top: {
    nodes: nothing,
    outputs: "top",
    source: "the top level alone, as YOLO v1 has it (Redmon et al. 2016)",
  },
  fpn: { nodes: fpn, source: "FPN (Lin et al. 2017)" },
  "repeated-fpn": {
    nodes: (levels) => [...fpn(levels), ...chained(fpn(levels), levels)],
    source: "two top-down FPNs a cell: the base of paper table 5",
  },
  panet: { nodes: panet, source: "PANet (Liu et al. 2018)" },
  "simplified-panet": { nodes: simplifiedPanet, source: "PANet without nodes of one input (paper §3.2)" },
  "nas-fpn": { nodes: nasFpn, pooling: "exact", fusion: "sum", source: "NAS-FPN (Ghiasi et al. 2019)" },
  "fully-connected": { nodes: fullyConnected, source: "fully-connected FPN (paper table 5)" },
  bifpn: { nodes: bifpn, source: "BiFPN (paper §3.2)" },
  qufpn: { nodes: qufpn, source: "quFPN (automl `qufpn_config`)" },
} as const satisfies Record<string, FeatureNetwork>;

export type FeatureNetworkName = keyof typeof featureNetworks;

/** A node list as the continuation of one of its own kind: inputs become the outputs of the list before it. */
function chained(nodes: readonly PyramidNode[], levels: Levels): PyramidNode[] {
  const count = levels.max - levels.min + 1;
  const outputs = outputNumbers(nodes, levels);
  return nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((i) => (i < count ? outputs[i]! : i + nodes.length)),
  }));
}

/** For each level, from below, the number of its last node (or of its input, where it has none). */
export function outputNumbers(nodes: readonly PyramidNode[], { min, max }: Levels): number[] {
  const count = max - min + 1;
  return ascending(min, max).map((level) => {
    const last = nodes.findLastIndex((node) => node.level === level);
    return last < 0 ? level - min : count + last;
  });
}
