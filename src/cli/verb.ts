import { Command, InvalidArgumentError, Option } from "commander";
import { parseDocument } from "yaml";
import { ConfigError, suggest, UsageError } from "../errors.ts";
import { fileTrouble, readOrdinaryFile } from "../files/index.ts";
import type { Device } from "../runtime/session.ts";
import { Terminal, type Streams } from "./terminal.ts";

/** Settings that every verb takes (interface, section 1). */
export interface Settings {
  readonly threads?: number;
  readonly device: Device;
  readonly cacheDir?: string;
  readonly offline?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** What a run of the command line is given by the process, or by a program that runs it: streams, and Ctrl-C. */
export interface Surroundings extends Streams {
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
}

/** What a verb works with. */
export interface Work {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Ends with this exit code although the verb does not throw: part of its work failed. */
  partlyFailed(exitCode?: number): void;
}

let current: { readonly surroundings: Surroundings; exitCode: number } | undefined;

/** Gives the verbs their surroundings; returns what asks for the exit code when the work is done. */
export function workIn(surroundings: Surroundings): () => number {
  const own = (current = { surroundings, exitCode: 0 });
  return () => own.exitCode;
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

/**
 * Runs a verb's work with its terminal, after `--config` and `--set` were applied.
 *
 * @param own.configuration whether the verb reads these two itself, by a schema of its own; default false
 */
export function action<O extends object>(
  run: (inputs: string[], options: O & Settings, work: Work) => Promise<void>,
  own: { readonly configuration?: boolean } = {},
) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command;
    const inputs = given
      .slice(0, -2)
      .flat()
      .filter((value) => value !== undefined) as string[];
    if (!own.configuration) await applyConfiguration(command);
    const options = command.opts() as O & Settings;
    const running = current!;
    const { surroundings } = running;
    await run(inputs, options, {
      terminal: new Terminal(options, surroundings),
      signal: surroundings.signal,
      stdin: surroundings.stdin,
      partlyFailed: (exitCode = 1) => void (running.exitCode = exitCode),
    });
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
      .filter((name) => !["config", "set", "version"].includes(name));
    const option = command.options.find((o) => o.attributeName() === key && known.includes(key));
    const refused = where === "--set" ? UsageError : ConfigError;
    if (!option) throw new refused(`there is no setting ${key} (${where})`, suggest(key, known));
    try {
      const setting = typed(option, value);
      if (!fromFlags.has(key)) command.setOptionValueWithSource(key, setting, "config");
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
  const parts = Array.isArray(value) ? value : [value];
  if (!parts.every((part) => typeof part === "string" || typeof part === "number"))
    throw new Error("it holds what is neither text nor a number");
  const text = parts.join(option.attributeName() === "imageSize" ? "x" : ",");
  if (option.argChoices && !option.argChoices.includes(text))
    throw new Error(`${text} is none of ${option.argChoices.join(", ")}`);
  return option.parseArg ? option.parseArg(text, undefined as never) : text;
}

/** The settings in a YAML or JSON file. @throws {ConfigError} if it cannot be read or holds none */
export async function readConfiguration(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = Buffer.from(await readOrdinaryFile(file, 2 ** 20)).toString("utf8");
  } catch (cause) {
    throw new ConfigError(
      `the configuration cannot be read: ${fileTrouble(cause)} (${file})`,
      "check the path",
      cause,
    );
  }
  let value: unknown;
  try {
    const document = parseDocument(text, { logLevel: "error" });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw problem;
    value = document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const [said = ""] = (cause as Error).message.split("\n");
    const what = /call stack/i.test(said) ? "it is nested too deeply" : said.replace(/:$/, "");
    throw new ConfigError(`the configuration cannot be read: ${what} (${file})`, "write YAML or JSON", cause);
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
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length === 0) throw new InvalidArgumentError("Give one or more, separated by commas.");
  return parts;
}
