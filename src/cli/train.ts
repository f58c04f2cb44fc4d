import { type Command, Option } from "commander";
import path from "node:path";
import { parse as parseYaml } from "yaml";
import { augmentationPresets } from "../data/index.ts";
import { ConfigError, UsageError } from "../errors.ts";
import { planTraining, readTrainConfig, scheduleKinds, train, withSetting, type EpochEvent, type ResumeInput, type RunPlan, type TimedPlan, type TrainConfigInput, type TrainEvent, type TrainOptions } from "../train/index.ts"; // prettier-ignore
import { duration, table, type Terminal } from "./terminal.ts";
import {
  action,
  imageSize,
  numberWithin,
  readConfiguration,
  verb,
  wholeNumber,
  type Settings,
} from "./verb.ts";

interface Options {
  readonly config?: string;
  readonly set?: string[];
  readonly resume?: string;
  readonly dryRun?: boolean;
  readonly [setting: string]: unknown;
}

/** Options that are no settings of the run. */
const notSettings = ["config", "set", "resume", "dryRun", "json", "quiet", "cacheDir", "offline"];

/** `efficientdet train --data DATA`: a detector from labelled pictures. */
export const trainVerb: Command = verb("train", "Train a detector on your own labelled pictures")
  .option("--data <data>", "a folder in COCO, Pascal VOC, YOLO or CSV form, or an annotation file")
  .addOption(new Option("--format <format>", "of the data (default: found out)").choices(["coco", "voc", "yolo", "csv"]))
  .option("--val <data|fraction>", "pictures to validate on: other data, or a share of these (default: the data's own part, else 0.2)", valOf)
  .option("--strict", "broken annotations are fatal")
  .option("--model <name>", "variant of the network (default: that of the weights, else lite0)")
  .option("--weights <file>", "what to start from: a file, imagenet, none, or a ready detector's name (default: imagenet for lite0, else the published detector)")
  .option("--output <dir>", "folder of the results (default: runs/NAME-DATE)")
  .addOption(new Option("--recipe <name>", "fine-tune: the whole but its first stages; quick: frozen backbone, features kept on disk; paper").choices(["fine-tune", "quick", "paper"]))
  .option("--epochs <n>", "times that every picture is seen", wholeNumber(1, 100_000))
  .option("--batch-size <n>", "pictures of a step", wholeNumber(1, 4096))
  .option("--accumulate <n>", "batches whose gradients are added up", wholeNumber(1, 1024))
  .option("--learning-rate <rate>", "the highest (default: by optimizer and batch size)", numberWithin(1e-9, 100))
  .addOption(new Option("--optimizer <name>", "how weights follow from gradients").choices(["sgd", "adam", "adamw"]))
  .addOption(new Option("--schedule <name>", "of the learning rate").choices(scheduleKinds))
  .option("--freeze <pattern>", "parameters that stay as they are: a regular expression, or none (default: stem and first two stages)")
  .option("--image-size <size>", "network input, N or HxW (default: the model's)", imageSize)
  .option("--augment <name>", `how pictures are changed: ${Object.keys(augmentationPresets).join(", ")}`)
  .option("--patience <n>", "stop after so many epochs without a better AP", wholeNumber(0, 100_000))
  .option("--workers <n>", "threads that prepare pictures (default: half the cores)", wholeNumber(0, 64))
  .option("--seed <n>", "decides everything random", wholeNumber(0, Number.MAX_SAFE_INTEGER))
  .option("--resume <dir>", "go on with the run in this folder, as if it had not stopped")
  .option("--dry-run", "say what would be done, and how long it would take")
  .option("--config <file>", "settings from a YAML or JSON file (a run's own config.yaml is one)")
  .option("--set <key=value...>", "one setting, such as loss.gamma=2; may be repeated", (value: string, all: string[] = []) => [...all, value])
  .action(async (...given: unknown[]) => {
    const command = given.at(-1) as Command;
    await action<Options>(async (_, options, { terminal, signal }) => {
      const input = await inputOf(command, options);
      const shown = new Shown(terminal);
      const settings: TrainOptions = { signal, onEvent: (event) => shown.tell(event), cacheDir: options.cacheDir, offline: options.offline };
      if (options.dryRun) return showPlan(await planTraining(input as TrainConfigInput, settings), shown, terminal);
      const result = await train(input, settings);
      shown.end();
      if (terminal.json) return terminal.showJson(result);
      const { best, output, stopped, epochs } = result;
      if (stopped === "patience") terminal.note(`stopped after ${epochs} epochs: no better AP for some time`);
      terminal.show(`${best ? `best: AP ${points(best.AP)} after epoch ${best.epoch}` : "done"}; ${path.join(output, "best.safetensors")}`);
      terminal.note(`try it: efficientdet detect PICTURE --weights ${path.join(output, "best.safetensors")}; all about it: ${path.join(output, "report.html")}`);
    }, { configuration: true })(...given);
  }); // prettier-ignore

/** The configuration: flags over `--set` over the file. */
async function inputOf(
  command: Command,
  options: Options & Settings,
): Promise<TrainConfigInput | ResumeInput> {
  const flags = Object.fromEntries(
    command.options
      .map((option) => option.attributeName())
      .filter((name) => !notSettings.includes(name) && command.getOptionValueSource(name) === "cli")
      .map((name) => [name, options[name]]),
  );
  if (options.resume !== undefined) {
    if (options.config !== undefined || options.set !== undefined || options.dryRun)
      throw new UsageError(
        "--resume goes on with a run's own settings",
        "leave --config, --set and --dry-run out",
      );
    return { ...flags, resume: options.resume };
  }
  let config: Record<string, unknown> =
    options.config === undefined ? {} : await readConfiguration(options.config);
  for (const entry of options.set ?? []) {
    const at = entry.indexOf("=");
    if (at < 1) throw new UsageError(`--set ${entry} has no value`, "write --set key=value");
    config = withSetting(config, entry.slice(0, at).split("."), valueOf(entry.slice(at + 1), entry));
  }
  config = { ...config, ...flags };
  readTrainConfig(config, options.config ?? (options.set ? "--set" : "command line"));
  return config as TrainConfigInput;
}

function valueOf(text: string, entry: string): unknown {
  try {
    return parseYaml(text) as unknown;
  } catch (cause) {
    throw new ConfigError(
      `${(cause as Error).message.split("\n")[0]} (--set ${entry})`,
      "write the value as in YAML",
      cause,
    );
  }
}

function valOf(text: string): string | number {
  const value = Number(text);
  return text.trim() !== "" && value > 0 && value < 1 ? value : text;
}

/** What a run tells, on the terminal. */
class Shown {
  readonly #terminal: Terminal;
  readonly #status: ReturnType<Terminal["status"]>;
  #classes = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#status = terminal.status();
  }

  tell(event: TrainEvent): void {
    switch (event.kind) {
      case "plan":
        this.#classes = event.plan.classes.length;
        return this.#terminal.note(summary(event.plan));
      case "note":
        return this.#terminal.note(event.message);
      case "warning":
        return this.#terminal.warn(event.message);
      case "progress":
        return this.#status.update(
          () => `${phases[event.phase]} ${event.done}${event.total === undefined ? "" : `/${event.total}`}`,
        );
      case "step":
        return this.#status.update(
          () =>
            `epoch ${(Math.floor(event.epoch * 100) / 100).toFixed(2)}  step ${event.step}/${event.steps}  loss ${event.loss.toFixed(4)}  lr ${event.learningRate.toPrecision(3)}  ` +
            `${event.imagesPerSecond} images/s  ${duration(event.secondsLeft)} left${event.waiting > 0.05 ? `  waiting ${(event.waiting * 100).toFixed(0)} %` : ""}`,
        );
      case "epoch":
        return this.#terminal.note(epochLine(event, this.#classes));
      case "saved":
        return;
    }
  }

  end(): void {
    this.#status.end();
  }
}

const phases = {
  download: "downloading, bytes",
  features: "features of picture",
  statistics: "measuring statistics",
  validation: "validating",
} as const;

function epochLine(
  { epoch, epochs, loss, AP, AP50, AP75, perClass, best, seconds }: EpochEvent,
  classes: number,
): string {
  const each = classes > 1 && classes <= 6 ? `  (AP50 ${Object.entries(perClass).map(([name, c]) => `${name} ${points(c.AP50)}`).join(", ")})` : ""; // prettier-ignore
  return `epoch ${epoch}/${epochs}  loss ${loss.toFixed(4)}  AP ${points(AP)}  AP50 ${points(AP50)}  AP75 ${points(AP75)}${each}  ${duration(seconds)}${best ? "  best" : ""}`;
}

function points(value: number): string {
  return value < 0 ? "–" : (value * 100).toFixed(1);
}

function summary(plan: RunPlan): string {
  const {
    config,
    trainPictures,
    trainObjects,
    emptyPictures,
    valPictures,
    classes,
    parameters,
    trainedParameters,
    steps,
  } = plan;
  const names = classes.length <= 6 ? `: ${classes.map(({ name }) => name).join(", ")}` : "";
  return (
    `${plan.data}: ${trainPictures} pictures to train (${trainObjects} objects${emptyPictures > 0 ? `, ${emptyPictures} without any` : ""}), ${valPictures} to validate; ${classes.length} class${classes.length === 1 ? "" : "es"}${names}\n` +
    `${config.model} at ${config.imageSize.join("×")} from ${config.weights}, ${config.recipe}: ${millions(trainedParameters)} of ${millions(parameters)} parameters learn; ` +
    `${config.epochs} epochs of ${plan.stepsPerEpoch} steps of ${plan.picturesPerStep} pictures, ${steps} steps; ${config.optimizer}, learning rate ${config.learningRate}\n` +
    `results: ${config.output}`
  );
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(2)} M`;
}

function showPlan(timed: TimedPlan, shown: Shown, terminal: Terminal): void {
  shown.end();
  if (terminal.json) return terminal.showJson(timed);
  const { plan, stepSeconds, imagesPerSecond, evaluationSeconds, totalSeconds, memoryBytes } = timed;
  terminal.show(summary(plan));
  terminal.show(
    table(
      ["class", "id", "objects"],
      plan.classes.map(({ name, id, objects }) => [name, id, objects]),
    ),
  );
  terminal.show(
    `a step takes ${stepSeconds.toFixed(2)} s (${imagesPerSecond} images/s), an evaluation about ${duration(evaluationSeconds)}, all of it about ${duration(totalSeconds)}`,
  );
  terminal.show(`memory: ${(memoryBytes / 2 ** 30).toFixed(1)} GiB; nothing was written`);
}
