/** Writes docs/networks.md and its drawings from the code: `npm run docs:networks`. */
import { mkdirSync, writeFileSync } from "node:fs";
import {
  buildModel,
  countModel,
  featureNetworks,
  modelConfig,
  networkDiagram,
  type FeatureNetworkName,
} from "../src/models/index.ts";

const names = Object.keys(featureNetworks) as FeatureNetworkName[];
const levels = { min: 3, max: 7 };
const folder = new URL("../docs/networks/", import.meta.url);
mkdirSync(folder, { recursive: true });

const features = (
  variant: string,
  featureNetwork: FeatureNetworkName,
  fusion: "sum" | "fast",
  cells?: number,
) => countModel(buildModel(modelConfig(variant, { featureNetwork, fusion, cells }))).features;
const number = (n: number): string => n.toLocaleString("en-US");
const table = (head: string[], rows: (string | number)[][]): string =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

const counts = table(
  [
    "name",
    "D0 parameters",
    "D0 multiply-adds",
    "D3 parameters",
    "D3 multiply-adds",
    "with fast fusion, D0 / D3",
  ],
  names.map((name) => {
    const [d0, d3] = [features("d0", name, "sum"), features("d3", name, "sum")];
    const [w0, w3] = [features("d0", name, "fast"), features("d3", name, "fast")];
    return [
      `\`${name}\``,
      number(d0.parameters),
      `${(d0.multiplyAdds / 1e9).toFixed(3)} B`,
      number(d3.parameters),
      `${(d3.multiplyAdds / 1e9).toFixed(3)} B`,
      `${number(w0.parameters)} / ${number(w3.parameters)}`,
    ];
  }),
);

const published: [FeatureNetworkName, string, "sum" | "fast", string, string][] = [
  ["fpn", "repeated top-down FPN", "sum", "1.0", "1.0"],
  ["panet", "repeated FPN + PANet", "sum", "1.0", "1.0"],
  ["nas-fpn", "NAS-FPN", "sum", "0.71", "0.72"],
  ["fully-connected", "fully-connected FPN", "sum", "1.24", "1.21"],
  ["bifpn", "BiFPN without weights", "sum", "0.88", "0.67"],
  ["bifpn", "BiFPN with weights", "fast", "0.88", "0.68"],
];
const relative = (name: FeatureNetworkName, fusion: "sum" | "fast", cells: number): [string, string] => {
  const base = features("d3", "fpn", "sum", 2 * cells);
  const own = features("d3", name, fusion, name === "fpn" ? 2 * cells : cells);
  return [(own.parameters / base.parameters).toFixed(3), (own.multiplyAdds / base.multiplyAdds).toFixed(3)];
};
const table5 = table(
  ["network", "parameters, published", "5 cells", "6 cells", "operations, published", "5 cells", "6 cells"],
  published.map(([name, title, fusion, parameters, operations]) => {
    const [five, six] = [relative(name, fusion, 5), relative(name, fusion, 6)];
    return [title, parameters, five[0], six[0], operations, five[1], six[1]];
  }),
);

const drawings = names.map((name) => {
  writeFileSync(new URL(`${name}.svg`, folder), networkDiagram(featureNetworks[name], levels));
  return `### \`${name}\`\n\n${featureNetworks[name].source}\n\n![${name}](networks/${name}.svg)\n`;
});

writeFileSync(
  new URL("../docs/networks.md", import.meta.url),
  `# Feature networks

<!-- Written by \`npm run docs:networks\` from src/models/feature-networks.ts; do not edit by hand. -->

A feature network is a list of nodes \`{ level, inputs }\` ([feature-networks.ts](../src/models/feature-networks.ts)), and one
builder runs them all ([pyramid.ts](../src/models/pyramid.ts)): every input is brought to the node's level and width, they are
merged, then activation, separable 3×3 convolution, batch normalisation. Any of them, with any fusion, goes into any model:

\`\`\`
efficientdet models d0 --feature-network panet --fusion softmax
\`\`\`

Inputs are numbered from the lowest level (P3 = 0); each node takes the next number; a level's output is its last node.

## What they cost

Parameters and multiply-adds of the feature network and the projection of P6 alone, counted from the built graphs: D0 (width 64, 3
cells, 512 px) and D3 (width 160, 6 cells, 896 px), plain sums.

${counts}

## Beside the paper's table 5

The paper compares networks of one width behind one backbone, relative to a repeated top-down FPN, and does not say how deep they
were. Counted as the feature network alone, at D3's width, with ten top-down FPNs as the base and five cells of each other
network (what the formula of the paper's first version, 2 + φ, gives for D3; the released D3 has six), parameters agree within 0.006
but for NAS-FPN (0.04, where P5 and P7 join by projections of their own here), operations within 0.035. The paper's profiler counts
element operations too, which explains what is left of the fully-connected network's (1.208 with them).

${table5}

## Drawings

Levels from P3 at the bottom to P7 at the top; the backbone's features in grey on the left. A ring marks what the heads see (after
the last cell), a square NAS-FPN's global attention.

${drawings.join("\n")}
## Fusion

| name | what it computes |
| --- | --- |
| \`sum\` | Σ x |
| \`unbounded\` | Σ w·x |
| \`softmax\` | Σ softmax(w)·x |
| \`fast\` | Σ relu(w)·x / (Σ relu(w) + 0.0001), the paper's |

Each has one weight per feature; with \`-channel\` one per channel (\`fast-channel\`), with \`-pixel\` one per place of the map
(\`fast-pixel\`: such a model is tied to its image size). A node of one input has no weights.
`,
);
