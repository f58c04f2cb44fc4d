import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import sharp from "sharp";
import { Detector } from "../../src/index.ts";
import { drawnPicture, encodePicture } from "../../src/image/index.ts";
import { efficientdetInProcess } from "../../src/testing/in-process.ts";
import { mutated } from "../../src/testing/mutations.ts";
import { gifOfSize, hostileSvg, pngOfSize, tiffOfSize, webpOfSize } from "./hostile-pictures.ts";

/** One picture or command may take this long: a hundred times what it usually takes, on a busy machine. */
const mostMs = 10_000;

const codes = ["E_IMAGE", "E_MACHINE", "E_USAGE"];

/** Files of all formats, small, and those that lie about their size. */
async function seeds(): Promise<Uint8Array[]> {
  const photo = fileURLToPath(new URL("../../examples/pictures/bicycle.jpg", import.meta.url));
  const small = sharp(readFileSync(photo)).resize(48);
  const encoded = await Promise.all(
    (["jpeg", "png", "webp", "gif", "tiff", "avif"] as const).map((format) => small.clone().toFormat(format).toBuffer()),
  );
  const odd = [pngOfSize(300, 2), pngOfSize(1, 1), gifOfSize(40, 40), webpOfSize(60, 60), tiffOfSize(100, 100)];
  return [...encoded, await small.clone().ensureAlpha(0.5).png().toBuffer(), ...odd, Buffer.from(hostileSvg)];
} // prettier-ignore

/**
 * Shows damaged and generated pictures to one detector, four at a time: each gives detections inside its picture, which
 * can be drawn, or an error of ours of one line.
 */
export async function fuzzPictures(cases: number, seed: number): Promise<void> {
  const model = { model: "lite0-everyday", imageSize: 64 };
  await using detector = await Detector.load(model, { threads: 1 });
  const files = (await seeds()).map((bytes) => fc.oneof(mutated(bytes), mutated(bytes, [0, 0.1])));
  const raw = fc
    .record({ width: fc.integer({ min: 0, max: 70 }), height: fc.integer({ min: 0, max: 70 }), channels: fc.constantFrom(1, 3, 4), more: fc.constantFrom(0, 0, 0, -1, 1) })
    .map(({ width, height, channels, more }) => ({
      width, height, channels: channels as 1 | 3 | 4, data: new Uint8Array(Math.max(0, width * height * channels + more)).fill(width * 7),
    })); // prettier-ignore
  const picture = fc.oneof({ weight: 5, arbitrary: fc.oneof(...files) }, { weight: 1, arbitrary: raw });
  await fc.assert(
    fc.asyncProperty(fc.array(picture, { minLength: 4, maxLength: 4 }), async (sources) => {
      const start = performance.now();
      let done = 0;
      for await (const result of detector.detectAll(sources, { scoreThreshold: 0.1, keepPictures: true })) {
        done++;
        if ("error" in result) {
          if (!codes.includes(result.error.code) || /[\n\r]/.test(result.error.message))
            throw new Error(JSON.stringify(result.error));
          continue;
        }
        const { width, height, detections } = result;
        for (const { score, box } of detections)
          if (!(score >= 0.1 && score <= 1 && box.xMin >= 0 && box.yMin >= 0 && box.xMax <= width && box.yMax <= height))
            throw new Error(`${score} ${JSON.stringify(box)} in ${width}×${height}`);
        if (detections.length > 0) await encodePicture(await drawnPicture(result.picture!, detections));
      }
      if (done !== sources.length) throw new Error(`${done} results`);
      if (performance.now() - start > 4 * mostMs) throw new Error(`took over ${mostMs} ms`);
    }),
    { numRuns: Math.ceil(cases / 4), seed },
  ); // prettier-ignore
}

const words = fc.constantFrom(
  "", " ", "0", "1", "-1", "0.5", "1e9", "1e-9", "NaN", "Infinity", "0x10", "true", "false", "null", "hard", "soft", "person,car", ",", "a=b",
  "scoreThreshold=0.4", "nms=sfot", "=", "64", "64x96", "0x0", "99999999999", "lite0", "d0", "lite0-everyday", "missing", "missing.json", "x.csv", "x.jsonl",
  "x.json", "x.xyz", "yolo", "voc", "cpu", "cuda", "\u001b[31m", "a\nb", "a\0b", "人", "\ud800", "__proto__", "constructor", "ftp://x/y", "http://", "file:///missing",
); // prettier-ignore
const flags = fc.constantFrom(
  "--model", "--weights", "--image-size", "--score-threshold", "--iou-threshold", "--max-detections", "--nms", "--nms-scope", "--classes", "--output", "--no-draw",
  "--crops", "--results", "--results-format", "--batch-size", "--threads", "--device", "--offline", "--json", "--quiet", "--config", "--set", "--class-names",
  "--recursive", "--data", "--report", "--format", "--metric", "--dtype", "--to", "--opset", "--ground-truth", "--detections", "--compare", "--strict", "--ema",
  "--val", "--recipe", "--epochs", "--accumulate", "--learning-rate", "--optimizer", "--schedule", "--freeze", "--augment", "--patience", "--workers", "--seed", "--resume",
  "--dry-run", "--runs", "--picture", "--feature-network", "--fusion", "--scor-threshold", "--", "-", "-x", "--=", "--model=", "--help", "--version",
); // prettier-ignore
/** Each verb with what sends it to something missing, so that a case costs milliseconds. */
const verbs = fc.constantFrom<readonly string[]>(
  ["detect", "missing.jpg", "--weights", "missing", "--offline"],
  ["detect", "missing.jpg", "--no-draw", "--weights", "missing", "--offline"],
  ["convert", "missing", "--to", "out.safetensors"],
  ["forward", "missing.jpg", "--to", "out.safetensors", "--weights", "missing", "--offline"],
  ["export", "--to", "out.onnx", "--weights", "missing", "--offline"],
  ["inspect", "--data", "missing"],
  ["eval", "--ground-truth", "missing", "--detections", "missing"],
  ["models", "lite0"],
  ["train", "--data", "missing", "--val", "missing"],
  ["train", "--resume", "missing"],
  ["benchmark", "--picture", "missing.jpg"],
  [],
);
/** `--weights`, `--data` and the like given last win: only those that are missing may be chosen. */
const commandLine = fc
  .tuple(
    verbs,
    fc.array(fc.oneof({ weight: 3, arbitrary: flags }, { weight: 2, arbitrary: words }), { maxLength: 6 }),
  )
  .map(([verb, more]) => [...verb.slice(0, 2), ...more, ...verb.slice(2)]);

const scalar = fc.oneof(words, fc.double(), fc.boolean(), fc.constant(null));
const settings = fc.oneof(
  fc.dictionary(fc.constantFrom("scoreThreshold", "nms", "classes", "imageSize", "draw", "threads", "scoreTreshold", "__proto__", "json", "results", "config"), fc.oneof(scalar, fc.array(scalar), fc.dictionary(words, scalar))),
  fc.anything(),
); // prettier-ignore
const yaml =
  'scoreThreshold: 0.4\nclasses: [person, "car"]\nimageSize: [64, 96]\nnms: &n soft\nnmsScope: class\ndraw: false\n# note\nlist: *n\n';
const detectConfiguration = fc.oneof(
  settings.map((value) => Buffer.from(JSON.stringify(value) ?? "")),
  mutated(Buffer.from(yaml)),
  fc.string({ maxLength: 80 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 80 }),
); // prettier-ignore

const trainSettings = fc.dictionary(
  fc.constantFrom("model", "network", "imageSize", "val", "recipe", "epochs", "batchSize", "optimizer", "optimizerSettings", "learningRate", "schedule", "gradient", "loss", "freeze", "averageDecay", "augment", "augmentation", "quick", "threads", "seed", "samples", "ephocs", "__proto__"),
  fc.oneof(
    scalar,
    fc.array(scalar),
    fc.dictionary(fc.constantFrom("width", "featureNetwork", "gamma", "weightDecay", "scales", "mirror", "momentum", "min", "constructor"), fc.oneof(scalar, fc.array(scalar))),
  ),
); // prettier-ignore
const trainYaml =
  "model: lite0\nepochs: 3\nimageSize: [64, 96]\nfreeze: ^backbone\nloss: {gamma: 2, iouLoss: giou}\nnetwork:\n  fusion: fast\nquick: {scales: [1, 0.5]}\n";
const trainConfiguration = fc.oneof(
  { weight: 3, arbitrary: trainSettings.map((value) => Buffer.from(JSON.stringify(value) ?? "")) },
  { weight: 1, arbitrary: mutated(Buffer.from(trainYaml)) },
);
const configured = fc.oneof(
  detectConfiguration.map((bytes) => ({ bytes, verb: ["detect", "missing.jpg", "--weights", "missing"] })),
  trainConfiguration.map((bytes) => ({ bytes, verb: ["train", "--data", "missing", "--weights", "none"] })),
);

/** What the interface allows a run to end with; 70 would be a defect of ours. */
const exitCodes = [0, 1, 2, 3, 4];

async function check(args: readonly string[], folder: string): Promise<void> {
  const start = performance.now();
  const { code, stderr } = await efficientdetInProcess(args, { cwd: folder });
  const lines = stderr.trimEnd().split("\n");
  const said = lines.filter((line) => line.startsWith("error: "));
  const complaint = (what: string): Error => new Error(`${what}: ${JSON.stringify({ args, code, stderr })}`);
  if (!exitCodes.includes(code!)) throw complaint("exit code");
  // Several inputs may have one each.
  if (code! > 0 && said.length === 0) throw complaint("no error");
  const known = /^(error: |warning: |\{"error":\{|\d+ of \d+ pictures done)/;
  if (code! > 1 && !lines.every((line) => known.test(line))) throw complaint("a line of another kind");
  if (/[^\n\P{Cc}]/u.test(stderr)) throw complaint("a control character");
  if (performance.now() - start > mostMs) throw complaint("too slow");
  const left = readdirSync(folder, { recursive: true }).filter((name) => String(name).endsWith(".part"));
  if (left.length > 0) throw complaint(`left ${left.join(", ")}`);
}

/** Throws words at the verbs: each run ends with an exit code of the interface, and with one line if it fails. */
export async function fuzzCommandLines(cases: number, seed: number): Promise<void> {
  await inFolder((folder) =>
    fc.assert(fc.asyncProperty(commandLine, (args) => check(args, folder)), { numRuns: cases, seed }),
  ); // prettier-ignore
}

/** The same for generated and damaged configuration files. */
export async function fuzzConfigurations(cases: number, seed: number): Promise<void> {
  await inFolder((folder) =>
    fc.assert(
      fc.asyncProperty(configured, async ({ bytes, verb }) => {
        writeFileSync(path.join(folder, "c.yaml"), bytes);
        await check([...verb, "--config", "c.yaml"], folder);
      }),
      { numRuns: cases, seed },
    ),
  );
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "fuzz-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
