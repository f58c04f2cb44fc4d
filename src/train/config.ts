import { z } from "zod";
import { augmentationByName, augmentationPresets, augmentationSchema } from "../data/augmentation-config.ts";
import { ConfigError, suggest } from "../errors.ts";
import { scheduleKinds } from "./schedules.ts";

const positive = z.number().positive();
const share = z.number().min(0).max(1);
const whole = (least: number, most: number) => z.number().int().min(least).max(most);
const norm = z.union([positive, z.literal("none")]);
const side = whole(32, 8192);

/**
 * Everything that decides a training run. What is missing has the default of its recipe ({@link recipes}), else the one
 * written here; what only the data can decide stays open until the run is planned. Files, `--set` and code use these names.
 */
export const trainConfigSchema = z.strictObject({
  /** Labelled pictures: a folder in COCO, Pascal VOC, YOLO or CSV form, or an annotation file. */
  data: z.string().min(1),
  /** Pictures to validate on: a share of the data, or other data. Default: the data's own part, else a fifth. */
  val: z.union([z.number().gt(0).lt(1), z.string().min(1)]).optional(),
  format: z.enum(["coco", "voc", "yolo", "csv"]).optional(),
  /** Broken annotations are fatal. */
  strict: z.boolean().default(false),
  /** Variant of the network; the weights' own where they name one. */
  model: z.string().optional(),
  /** What differs from the variant. */
  network: z
    .strictObject({
      featureNetwork: z.string(),
      fusion: z.string(),
      width: whole(1, 4096),
      cells: whole(0, 64),
      headRepeats: whole(0, 64),
      anchorScale: z.union([positive, z.array(positive).min(1)]),
      scalesPerOctave: whole(1, 8),
      aspectRatios: z.array(z.union([positive, z.tuple([positive, positive])])).min(1),
    })
    .partial()
    .default({}),
  /** Network input: one side, or height and width. Default: that of the weights, else the variant's. */
  imageSize: z.union([side, z.tuple([side, side])]).optional(),
  /**
   * What training starts from: a file, `imagenet` (a backbone alone), `none`, or the name of a ready detector. Default:
   * `imagenet` where the package has that backbone, else the published detector of the model.
   */
  weights: z.string().min(1).optional(),
  /** Folder of the results. Default `runs/NAME-DATE`. */
  output: z.string().min(1).optional(),
  recipe: z.enum(["fine-tune", "quick", "paper"]).default("fine-tune"),
  epochs: whole(1, 100_000).default(30),
  batchSize: whole(1, 4096).default(4),
  /** Batches whose gradients are added up before the weights move. */
  accumulate: whole(1, 1024).default(1),
  optimizer: z.enum(["sgd", "adam", "adamw"]).default("adamw"),
  optimizerSettings: z
    .strictObject({
      momentum: share.default(0.9),
      nesterov: z.boolean().default(false),
      beta1: share.default(0.9),
      beta2: share.default(0.999),
      epsilon: positive.default(1e-8),
    })
    .prefault({}),
  /** The highest learning rate. Default: by optimizer and batch, see `defaultLearningRate`. */
  learningRate: positive.optional(),
  /** The backbone's share of it: features that were learnt from a million pictures should not be lost to two hundred. */
  backboneRate: share.default(0.1),
  schedule: z.enum(scheduleKinds).default("cosine"),
  scheduleSettings: z
    .strictObject({
      /** Epochs of linear warm-up; never more than a tenth of all steps. */
      warmUpEpochs: z.number().min(0).default(1),
      /** `step`: shares of all steps at which the rate falls to a tenth. */
      drops: z.array(share).default([2 / 3, 5 / 6]),
      /** `polynomial`: the exponent. */
      power: positive.default(0.9),
      /** `one-cycle`: the rate at the end as a share of the highest. */
      finalShare: share.default(1e-4),
    })
    .prefault({}),
  gradient: z
    .strictObject({
      /** Of kernels. Default: 4e-5; with `adamw` 0.01. */
      weightDecay: z.number().min(0).optional(),
      /** Largest norm of one variable's gradient. */
      clipVariable: norm.default(10),
      /** Largest norm of all together. */
      clipGlobal: norm.default(10),
    })
    .prefault({}),
  loss: z
    .strictObject({
      alpha: share.default(0.25),
      gamma: z.number().min(0).max(10).default(1.5),
      labelSmoothing: z.number().min(0).max(0.5).default(0),
      delta: positive.default(0.1),
      boxWeight: z.number().min(0).default(50),
      iouLoss: z.enum(["iou", "giou", "diou", "ciou"]).optional(),
      iouWeight: z.number().min(0).default(1),
    })
    .prefault({}),
  /** When an anchor belongs to an object. */
  match: z
    .strictObject({
      positiveIou: share.default(0.5),
      negativeIou: share.optional(),
      forceMatch: z.boolean().default(true),
    })
    .prefault({}),
  /** Names of parameters that stay as they are: a regular expression, or `none`. */
  freeze: z.string().default(String.raw`^backbone\.(conv_stem|bn1|blocks\.[01])\.`),
  /** Normalise by the statistics of each batch, or by stored ones (`frozen`). What is frozen itself uses stored ones. */
  batchNorm: z.enum(["frozen", "batch"]).default("batch"),
  /** Weight of a batch in the running statistics: a few hundred steps must be enough to forget what they were. */
  batchNormMomentum: share.default(0.1),
  /** Blocks left out at random, where the model says so. */
  stochasticDepth: z.boolean().default(false),
  /** Decay of the moving average of the weights, which is what is evaluated and saved; reached by warming up. */
  averageDecay: z.union([z.number().min(0).lt(1), z.literal(false)]).default(0.9998),
  /** Name of a set of augmentations. */
  augment: z.enum(Object.keys(augmentationPresets) as [string, ...string[]]).default("fine-tune"),
  /** What differs from that set. */
  augmentation: z.record(z.string(), z.unknown()).default({}),
  /** `quick`: what is kept of the backbone's features. */
  quick: z
    .strictObject({
      /** Sizes at which each picture is shown, as shares of what fits the input. */
      scales: z.array(z.number().min(0.1).max(2)).min(1).max(16).default([1, 0.75, 1.3]),
      /** Whether mirror images are shown too. */
      mirror: z.boolean().default(true),
    })
    .prefault({}),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(1),
  /** Threads that prepare pictures. Default: half the cores, 1 to 4. */
  workers: whole(0, 64).optional(),
  /** Threads of the engine. Default: physical cores. */
  threads: whole(1, 1024).optional(),
  device: z.enum(["cpu", "cuda", "coreml", "directml", "webgpu"]).default("cpu"),
  /** Epochs without a better AP after which training stops; 0: never. */
  patience: whole(0, 100_000).default(0),
  /** Epochs from one evaluation to the next. */
  evaluateEvery: whole(1, 100_000).default(1),
  /** Minutes from one checkpoint to the next, within an epoch. */
  saveMinutes: positive.default(10),
  /** Pictures that are drawn after an evaluation. */
  samples: whole(0, 100).default(6),
});

/** A training run as a person describes it. */
export type TrainConfigInput = z.input<typeof trainConfigSchema>;
/** The same with the defaults filled in. */
export type TrainConfig = z.infer<typeof trainConfigSchema>;
/** Names of {@link recipes}. */
export type RecipeName = TrainConfig["recipe"];

/** What a recipe sets apart from the schema's own defaults. */
export const recipes: Readonly<Record<RecipeName, Partial<TrainConfigInput>>> = {
  /** All but the stem and the first two stages: for a few hundred pictures. */
  "fine-tune": {},
  /** The backbone frozen, its features computed once: only feature network and heads learn. */
  quick: {
    freeze: String.raw`^backbone\.`,
    epochs: 60,
    batchSize: 16,
  },
  /** The paper's (spec B1, automl's numbers): for days on many accelerators. */
  paper: {
    backboneRate: 1,
    epochs: 300, batchSize: 64, optimizer: "sgd", schedule: "automl-cosine", freeze: "none", batchNormMomentum: 0.01, stochasticDepth: true, augment: "paper",
  }, // prettier-ignore
};

/**
 * A configuration checked and completed.
 *
 * @throws {ConfigError} for an unknown key (with the nearest known one) or an impossible value, naming `source`
 */
export function readTrainConfig(input: unknown, source = "configuration"): TrainConfig {
  if (!isRecord(input))
    throw new ConfigError(
      `the configuration holds no settings (${source})`,
      "give an object with at least data",
    );
  const recipe = Object.hasOwn(recipes, input.recipe as string) ? recipes[input.recipe as RecipeName] : {};
  const result = trainConfigSchema.safeParse({ ...recipe, ...withoutUndefined(input) });
  if (!result.success) throw configError(result.error.issues[0]!, source);
  const config = { ...result.data, augmentation: augmentationOf(result.data, source) };
  if (config.freeze !== "none")
    try {
      new RegExp(config.freeze);
    } catch (cause) {
      throw new ConfigError(
        `freeze: ${(cause as Error).message} (${source})`,
        "write a regular expression over names such as backbone.blocks.0.0.conv_dw.weight",
        cause,
      );
    }
  return config;
}

/** The augmentation's named set with what differs from it, every value decided. */
function augmentationOf({ augment, augmentation }: TrainConfig, source: string): Record<string, unknown> {
  const base: Record<string, unknown> = { ...augmentationByName(augment) };
  for (const [key, value] of Object.entries(augmentation))
    base[key] = isRecord(value) && isRecord(base[key]) ? { ...base[key], ...value } : value;
  const result = augmentationSchema.safeParse(base);
  if (!result.success)
    throw configError(
      { ...result.error.issues[0]!, path: ["augmentation", ...result.error.issues[0]!.path] },
      source,
    );
  return result.data;
}

function configError(issue: z.core.$ZodIssue, source: string): ConfigError {
  const at = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const [key] = issue.keys;
    const name = at === "" ? key! : `${at}.${key}`;
    return new ConfigError(`there is no setting ${name} (${source})`, suggest(key!, keysAt(issue.path)));
  }
  const what =
    issue.code === "invalid_type" && at === "data"
      ? "data is missing: no pictures to learn from"
      : `${at}: ${lowerFirst(issue.message)}`;
  return new ConfigError(
    `${what} (${source})`,
    at === "data" ? "name a folder with labelled pictures (--data)" : "see docs/training.md for the settings",
  );
}

/** The known keys of the object at a path of the schema. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let node: unknown =
    path[0] === "augmentation" ? { shape: { augmentation: augmentationSchema } } : trainConfigSchema;
  for (const key of path)
    node = unwrapped((unwrapped(node) as { shape?: Record<string, unknown> }).shape?.[String(key)]);
  return Object.keys((unwrapped(node) as { shape?: object } | undefined)?.shape ?? {});
}

/** A schema without its defaults and wrappers. */
function unwrapped(node: unknown): unknown {
  const inner = (node as { def?: { innerType?: unknown } } | undefined)?.def?.innerType;
  return inner === undefined ? node : unwrapped(inner);
}

/**
 * The learning rate where none is given: for SGD automl's 0.08 for 64 pictures, in proportion; for Adam and AdamW 0.004
 * for 4 pictures with batch statistics and 0.003 for 8 with stored ones, with the square root of the batch
 * (docs/training-recipes.md has what was tried: what stored statistics do not hold in check, twice the rate undoes).
 *
 * @param how.trained whether the whole detector was trained before: a quarter is enough then, and loses less of it
 */
export function defaultLearningRate(
  optimizer: TrainConfig["optimizer"],
  picturesPerStep: number,
  how: { readonly trained?: boolean; readonly batchNorm?: TrainConfig["batchNorm"] } = {},
): number {
  const adaptive = how.batchNorm === "frozen" ? 0.003 / Math.sqrt(8) : 0.004 / Math.sqrt(4);
  const rate = optimizer === "sgd" ? (0.08 * picturesPerStep) / 64 : adaptive * Math.sqrt(picturesPerStep);
  return Number((how.trained ? rate / 4 : rate).toPrecision(3));
}

/**
 * One setting by its path, as `--set a.b=value` writes it: the value is YAML.
 *
 * @throws {ConfigError} if the path leads through something that is no object
 */
export function withSetting(
  config: Readonly<Record<string, unknown>>,
  path: readonly string[],
  value: unknown,
): Record<string, unknown> {
  const [key, ...rest] = path;
  if (rest.length === 0) return { ...config, [key!]: value };
  const inner = config[key!] ?? {};
  if (!isRecord(inner))
    throw new ConfigError(
      `${key} is ${JSON.stringify(inner)} and has no ${rest.join(".")}`,
      "set one of the two",
    );
  return { ...config, [key!]: withSetting(inner, rest, value) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
