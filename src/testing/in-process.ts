import type { Outcome } from "./command-line.ts";

process.env.NO_COLOR = "1"; // read when the command line is loaded
const { runCommandLine } = await import("../cli/command-line.ts");

/** Runs wait for each other: the verbs' options are shared, and so is the working folder. */
let queue: Promise<unknown> = Promise.resolve();

/** Runs the command line in this process: quicker than one of its own by what Node takes to start and to load. */
export function efficientdetInProcess(
  args: readonly string[],
  options: { cwd?: string; input?: Uint8Array; signal?: AbortSignal } = {},
): Promise<Outcome> {
  const run = async (): Promise<Outcome> => {
    const output = { stdout: "", stderr: "" };
    const into = (name: keyof typeof output) => ({ write: (text: string) => void (output[name] += text) });
    const before = process.cwd();
    if (options.cwd !== undefined) process.chdir(options.cwd);
    try {
      const code = await runCommandLine(args, {
        stdout: into("stdout"),
        stderr: into("stderr"),
        stdin: oneChunk(options.input),
        signal: options.signal ?? new AbortController().signal,
      });
      return { code, ...output };
    } finally {
      process.chdir(before);
    }
  };
  const outcome = queue.then(run);
  queue = outcome.catch(() => undefined);
  return outcome;
}

async function* oneChunk(bytes?: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes !== undefined) yield bytes;
}
