import { Command, InvalidArgumentError, Option } from "commander";
import { readFile } from "node:fs/promises";
import { parse as parseYaml } from "yaml";
import { ConfigError, suggest, UsageError } from "../errors.ts";
import type { Device } from "../runtime/session.ts";
import { Terminal } from "./terminal.ts";

/** Settings that every verb takes (interface, section 1). */
export interface Settings {
  readonly threads?: number;
  readonly device: Device;
  readonly cacheDir?: string;
  readonly offline?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** What a verb works with: its terminal, and the signal that Ctrl-C aborts. */
export interface Work {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

const interrupt = new AbortController();

/** The signal that the first Ctrl-C aborts; a second one ends the process at once. */
export function listenForInterrupt(): void {
  process.on("SIGINT", () => {
    if (interrupt.signal.aborted) process.exit(130);
    process.stderr.write("\nfinishing what is under way; Ctrl-C again stops at once\n");
    interrupt.abort();
  });
}

/** A verb of the command line, with the settings that all verbs take. Its own options follow, then `action(run)`. */
export function verb(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option("--threads <n>", "threads of the engine (default: physical cores)", wholeNumber(1, 1024))
    .addOption(
      new Option("--device <name>", "where the network runs")
        .choices(["cpu", "cuda", "coreml", "directml", "webgpu"])
        .default("cpu"),
    )
    .option("--cache-dir <dir>", "folder of downloaded models (default: the user's cache)")
    .option("--offline", "never use the network")
    .option("--json", "results as JSON on stdout, errors as JSON on stderr")
    .option("--quiet", "no progress, no notes");
}

/** Adds `--config` and `--set`: every option of the verb by its camelCase name. Flags win over `--set`, that over the file. */
export function configurable(command: Command): Command {
  return command
    .option("--config <file>", "settings from a YAML or JSON file, by the names of the flags in camelCase")
    .option(
      "--set <key=value...>",
      "one setting, as in the file; may be repeated",
      (value: string, all: string[] = []) => [...all, value],
    );
}

/** Runs a verb's work with its terminal, after `--config` and `--set` were applied. */
export function action<O extends object>(
  run: (inputs: string[], options: O & Settings, work: Work) => Promise<void>,
) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command;
    const inputs = given
      .slice(0, -2)
      .flat()
      .filter((value) => value !== undefined) as string[];
    await applyConfiguration(command);
    const options = command.opts() as O & Settings;
    await run(inputs, options, { terminal: new Terminal(options), signal: interrupt.signal });
  };
}

async function applyConfiguration(command: Command): Promise<void> {
  const { config, set } = command.opts() as { config?: string; set?: string[] };
  if (config === undefined && set === undefined) return;
  const fromFlags = new Set(
    command.options
      .map((option) => option.attributeName())
      .filter((name) => command.getOptionValueSource(name) === "cli"),
  );
  const apply = (key: string, value: unknown, where: string): void => {
    const known = command.options
      .map((option) => option.attributeName())
      .filter((name) => name !== "config" && name !== "set");
    const option = command.options.find((o) => o.attributeName() === key && known.includes(key));
    const refused = where === "--set" ? UsageError : ConfigError;
    if (!option) throw new refused(`there is no setting ${key} (${where})`, suggest(key, known));
    if (fromFlags.has(key)) return;
    try {
      command.setOptionValueWithSource(key, typed(option, value), "config");
    } catch (cause) {
      throw new refused(
        `${key}: ${(cause as Error).message} (${where})`,
        `see efficientdet ${command.name()} --help`,
        cause,
      );
    }
  };
  if (config !== undefined)
    for (const [key, value] of Object.entries(await readConfiguration(config))) apply(key, value, config);
  for (const entry of set ?? []) {
    const at = entry.indexOf("=");
    if (at < 1) throw new UsageError(`--set ${entry} has no value`, "write --set key=value");
    apply(entry.slice(0, at), entry.slice(at + 1), "--set");
  }
}

function typed(option: Option, value: unknown): unknown {
  if (option.isBoolean() || option.negate) {
    if (value === true || value === "true") return true;
    if (value === false || value === "false") return false;
    throw new Error(`${String(value)} is neither true nor false`);
  }
  const text = Array.isArray(value)
    ? value.join(option.attributeName() === "imageSize" ? "x" : ",")
    : String(value);
  if (option.argChoices && !option.argChoices.includes(text))
    throw new Error(`${text} is none of ${option.argChoices.join(", ")}`);
  return option.parseArg ? option.parseArg(text, undefined as never) : text;
}

async function readConfiguration(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new ConfigError(`the configuration cannot be read (${file})`, "check the path", cause);
  }
  let value: unknown;
  try {
    value = parseYaml(text, { maxAliasCount: 100 });
  } catch (cause) {
    throw new ConfigError(
      `${(cause as Error).message.split("\n")[0]} (${file})`,
      "write YAML or JSON",
      cause,
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ConfigError(`the configuration holds no settings (${file})`, "write one `name: value` a line");
  return value as Record<string, unknown>;
}

/** A parser of whole numbers within a range. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    return value;
  };
}

/** A parser of numbers within a range. */
export function numberWithin(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= least && value <= most))
      throw new InvalidArgumentError(`Give a number from ${least} to ${most}.`);
    return value;
  };
}

/** A parser of `N` or `HxW`: height and width in pixels. */
export function imageSize(text: string): [number, number] {
  const [, h, , w] = /^(\d{1,5})([xX×](\d{1,5}))?$/.exec(text) ?? [];
  if (h === undefined)
    throw new InvalidArgumentError("Give a size such as 512, or height and width such as 384x640.");
  return [Number(h), Number(w ?? h)];
}

/** A parser of `a,b,c`. */
export function list(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
