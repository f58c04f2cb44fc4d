#!/usr/bin/env node
import { MachineError } from "../errors.ts";
import { explained, runCommandLine } from "./command-line.ts";
import { Terminal } from "./terminal.ts";

const interrupt = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(130);
    // A terminal shows ^C where the cursor is.
    const start = process.stderr.isTTY === true ? "\n" : "";
    process.stderr.write(`${start}finishing what is under way; Ctrl-C again stops at once\n`);
    interrupt.abort();
  });

process.stdout.on("error", (cause: NodeJS.ErrnoException) => {
  if (cause.code === "EPIPE") process.exit(0); // who reads has enough, as `head` does
  const { message, hint, exitCode } = explained(cause);
  new Terminal().error(new MachineError(`standard output cannot be written: ${message}`, hint, cause));
  process.exit(exitCode);
});
process.stderr.on("error", () => undefined); // nobody left to tell

const { stdout, stderr, stdin } = process;
const exitCode = await runCommandLine(process.argv.slice(2), {
  stdout,
  stderr,
  stdin,
  signal: interrupt.signal,
});
if (interrupt.signal.aborted) process.exit(exitCode); // what is still being waited for may never come
if (exitCode !== 0) process.exitCode = exitCode;
