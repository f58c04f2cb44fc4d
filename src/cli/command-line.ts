import { Command, CommanderError } from "commander";
import { createRequire } from "node:module";
import { EfficientDetError, isOutOfMemory, MachineError, UsageError } from "../errors.ts";
import { Terminal } from "./terminal.ts";
import { workIn, type Surroundings } from "./verb.ts";

const { version } = createRequire(import.meta.url)("efficientdet/package.json") as { version: string };

/** Verbs by name; each is loaded when it is asked for, so that none waits for the others' libraries. */
const verbs: Record<string, () => Promise<Command>> = {
  detect: async () => (await import("./detect.ts")).detect,
  benchmark: async () => (await import("./benchmark.ts")).benchmarkVerb,
  convert: async () => (await import("./convert.ts")).convert,
  eval: async () => (await import("./eval.ts")).evalVerb,
  inspect: async () => (await import("./inspect.ts")).inspect,
  train: async () => (await import("./train.ts")).trainVerb,
  forward: async () => (await import("./forward.ts")).forward,
  export: async () => (await import("./export.ts")).exportVerb,
  models: async () => (await import("./models.ts")).models,
};

/** Names that later work will take; asked for now, they say so. */
const reserved = ["study", "serve", "track"];

/**
 * Does what a command line asks for, without ending the process; every error is told on `stderr`. One run at a time: the
 * verbs' options are shared.
 *
 * @param argv the words after the program's name
 * @returns the exit code (interface, section 1)
 */
export async function runCommandLine(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    const [name] = argv;
    if (name === undefined) {
      surroundings.stdout.write((await program(argv, surroundings)).helpInformation());
      return 0;
    }
    if (reserved.includes(name))
      throw new UsageError(`the verb ${name} is not there yet`, "see efficientdet --help for those that are");
    const exitCode = workIn(surroundings);
    await (await program(argv, surroundings)).parseAsync(argv as string[], { from: "user" });
    return exitCode();
  } catch (error) {
    if (error instanceof CommanderError && (error.exitCode === 0 || error.code === "commander.help"))
      return 0;
    const known = explained(error);
    new Terminal({ json: argv.includes("--json") }, surroundings).error(known);
    return known.exitCode;
  }
}

async function program(argv: readonly string[], { stdout }: Surroundings): Promise<Command> {
  const output = { writeOut: (text: string) => void stdout.write(text), outputError: () => undefined };
  const root = new Command("efficientdet")
    .description(
      "Find objects in pictures, and train the network that finds them (EfficientDet, arXiv 1911.09070)",
    )
    .version(version)
    .showSuggestionAfterError()
    .configureOutput(output)
    .exitOverride();
  const wanted = argv.find((word) => Object.hasOwn(verbs, word));
  for (const [name, load] of Object.entries(verbs)) {
    if (wanted !== undefined && name !== wanted) continue;
    const command = await load();
    command.showSuggestionAfterError().configureOutput(output).exitOverride();
    root.addCommand(command);
  }
  return root;
}

/** Any error as one that has a code, a sentence and an exit code. */
export function explained(error: unknown): EfficientDetError {
  if (error instanceof EfficientDetError) return error;
  if (error instanceof CommanderError) {
    const [what, hint] = error.message.replace(/^error: /, "").split("\n");
    return new UsageError(what!, hint?.replace(/[()]/g, "") ?? "see efficientdet --help");
  }
  const { code, message = String(error), path } = error as { code?: string; message?: string; path?: string };
  const where = path === undefined ? "" : ` (${path})`;
  if (code === "ENOSPC" || code === "EDQUOT")
    return new MachineError(`the disk is full${where}`, "make room, or write elsewhere", error);
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return new MachineError(`not permitted${where}`, "check the rights of the file or folder", error);
  if (code === "EMFILE" || code === "ENFILE")
    return new MachineError("too many files are open", "close some programs, or raise the limit", error);
  if (isOutOfMemory(error))
    return new MachineError("there is not enough memory", "take a smaller image size or batch", error);
  return new EfficientDetError("E_DEFECT", `this is a defect of efficientdet ${version}: ${message}`, {
    hint: "please report it with the command and what EFFICIENTDET_DEBUG=1 prints",
    exitCode: 70,
    cause: error,
  });
}
