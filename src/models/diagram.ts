import type { FeatureNetwork, Levels } from "./feature-networks.ts";

const columnWidth = 110;
const rowHeight = 64;
const margin = { left: 56, right: 56, top: 40, bottom: 24 };
const radius = 15;

interface Place {
  readonly level: number;
  readonly column: number;
  readonly kind: "input" | "node";
  readonly attention: boolean;
}

/**
 * A feature network as an SVG picture: levels from bottom to top, the backbone's features on the left, each node to the
 * right of what it reads on its own level. Output nodes have a ring; nodes of NAS-FPN's attention are squares.
 */
export function networkDiagram(network: FeatureNetwork, levels: Levels): string {
  const { places, edges, outputs } = layOut(network, levels);
  const columns = Math.max(...places.map((p) => p.column)) + 1;
  const width = margin.left + margin.right + (columns - 1) * columnWidth + 60;
  const height = margin.top + margin.bottom + (levels.max - levels.min) * rowHeight;
  const x = (p: Place): number => margin.left + p.column * columnWidth;
  const y = (p: Place): number => margin.top + (levels.max - p.level) * rowHeight;
  const lines = edges.map(([from, to]) => edge(places[from]!, places[to]!, x, y));
  const marks = places.map((p, i) => mark(p, x(p), y(p), outputs.has(i)));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#778"/></marker></defs>`,
    `<rect width="100%" height="100%" rx="8" fill="#fdfdfe"/>`,
    ...lines,
    ...marks,
    `</svg>`,
    "",
  ].join("\n");
}

/** Where every input and node stands, which reads which, and which the heads see. */
function layOut(
  network: FeatureNetwork,
  levels: Levels,
): { places: Place[]; edges: [number, number][]; outputs: ReadonlySet<number> } {
  const nodes = network.nodes(levels);
  const places: Place[] = [];
  for (let level = levels.min; level <= levels.max; level++)
    places.push({ level, column: 0, kind: "input", attention: false });
  const edges: [number, number][] = [];
  for (const node of nodes) {
    const read = node.inputs.map((i) => places[i]!);
    const onLevel = places.filter((p) => p.level === node.level).map((p) => p.column);
    const after = Math.max(
      ...read.map((p) => (p.level === node.level || p.column === 0 ? p.column + 1 : p.column)),
    );
    node.inputs.forEach((i) => edges.push([i, places.length]));
    places.push({
      level: node.level,
      column: Math.max(after, Math.max(...onLevel) + 1),
      kind: "node",
      attention: node.merge === "attention",
    });
  }
  const seen = new Map(places.map((p, i) => [p.level, i]));
  return { places, edges, outputs: new Set(network.outputs === "top" ? [seen.get(5)!] : seen.values()) };
}

function edge(from: Place, to: Place, x: (p: Place) => number, y: (p: Place) => number): string {
  const [x1, y1, x2, y2] = [x(from), y(from), x(to), y(to)];
  const length = Math.hypot(x2 - x1, y2 - y1);
  const [ux, uy] = [((x2 - x1) / length) * (radius + 3), ((y2 - y1) / length) * (radius + 3)];
  const skips = from.level === to.level && to.column - from.column > 1;
  const passes = from.column === to.column && Math.abs(from.level - to.level) > 1;
  const path = passes
    ? `M${x1 + 13} ${y1 - 8}Q${x1 + 40} ${(y1 + y2) / 2} ${x2 + 15} ${y2 + 9}`
    : skips
      ? `M${x1 + 10} ${y1 - 13}C${x1 + 50} ${y1 - 32} ${x2 - 50} ${y2 - 32} ${x2 - 10} ${y2 - 15}`
      : `M${(x1 + ux).toFixed(1)} ${(y1 + uy).toFixed(1)}L${(x2 - ux).toFixed(1)} ${(y2 - uy).toFixed(1)}`;
  return `<path d="${path}" fill="none" stroke="#778" stroke-width="1.4" marker-end="url(#tip)"/>`;
}

/** Colours of the levels, distinguishable without colour vision by their lightness. */
const colours = ["#1b3a6b", "#24639b", "#2f8f9d", "#6cb98f", "#b9d77a", "#e8e06a", "#f3c24f"];

function mark(p: Place, x: number, y: number, output: boolean): string {
  const fill = p.kind === "input" ? "#e7e9ee" : colours[(p.level - 2) % colours.length]!;
  const shape = p.attention
    ? `<rect x="${x - radius}" y="${y - radius}" width="${2 * radius}" height="${2 * radius}" rx="3" fill="${fill}" stroke="#334"/>`
    : `<circle cx="${x}" cy="${y}" r="${radius}" fill="${fill}" stroke="#334"/>`;
  const ring = output
    ? `<circle cx="${x}" cy="${y}" r="${radius + 4}" fill="none" stroke="#c2410c" stroke-width="1.6"/>`
    : "";
  const name =
    p.kind === "input"
      ? `<text x="${x - radius - 10}" y="${y + 4}" text-anchor="end" fill="#223">P${p.level}</text>`
      : "";
  return shape + ring + name;
}
