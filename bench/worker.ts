import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A contender in a process of its own. */
export interface Worker {
  /** The rest of the line that it began with, after `ready`. */
  readonly ready: string;
  /** Sends a line and gives the numbers that it answers with. */
  ask(what: string): Promise<number[]>;
  end(): void;
}

/** Starts a contender that writes `ready …` and then answers line by line. */
export async function startWorker(command: string, args: readonly string[]): Promise<Worker> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (text: Buffer) => (complaint = (complaint + text.toString()).slice(-2000)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ${args.join(" ")} ended:\n${complaint}`);
    return value;
  };
  let first = await next();
  while (!first.startsWith("ready")) first = await next();
  return {
    ready: first.replace(/^ready\s*/, ""),
    ask: async (what) => {
      child.stdin.write(`${what}\n`);
      return (await next()).split(" ").map(Number);
    },
    end: () => child.stdin.end("end\n"),
  };
}
