import pc from "picocolors";
import type { EfficientDetError } from "../errors.ts";
import { printableName } from "../files/index.ts";

/** How often a progress line is written: on a terminal it is redrawn, elsewhere it is a plain line. */
const redrawMs = 100;
const plainLineMs = 10_000;

/** Progress of a known or unknown number of things. */
export interface Progress {
  /** `done` of `total` things; `note` stands at the end of the line. */
  update(done: number, total: number | undefined, note?: string): void;
  end(): void;
}

/** Where results and messages go; only a terminal has columns. */
export interface Streams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
}

/** The only place that writes to the terminal: results to stdout, all else to stderr. */
export class Terminal {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #streams: Streams;
  #line = false;

  constructor(options: { json?: boolean; quiet?: boolean } = {}, streams: Streams = process) {
    this.#streams = streams;
    this.json = options.json ?? false;
    this.quiet = options.quiet ?? false;
  }

  /** A result, for people. */
  show(text: string): void {
    this.#clear();
    this.#streams.stdout.write(`${text}\n`);
  }

  /** A result, for programs: one line of JSON. */
  showJson(value: unknown): void {
    this.#clear();
    this.#streams.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** What a person should know, but that is no result. */
  note(text: string): void {
    if (this.quiet) return;
    this.#clear();
    this.#streams.stderr.write(`${oneLine(text)}\n`);
  }

  warn(text: string): void {
    this.#clear();
    this.#streams.stderr.write(`${pc.yellow("warning:")} ${oneLine(text)}\n`);
  }

  /** One line `error: WHAT (WHERE): WHAT TO DO`; with `--json`, an object on a line of its own after it. */
  error(error: EfficientDetError): void {
    this.#clear();
    const hint = error.hint === undefined ? "" : `: ${error.hint}`;
    this.#streams.stderr.write(`${pc.red("error:")} ${oneLine(error.message + hint)}\n`);
    if (this.json)
      this.#streams.stderr.write(
        `${JSON.stringify({ error: { code: error.code, message: oneLine(error.message), hint: error.hint } })}\n`,
      );
    if (process.env.EFFICIENTDET_DEBUG === "1")
      this.#streams.stderr.write(`${(error.cause as Error | undefined)?.stack ?? error.stack}\n`);
  }

  /** A progress line with rate and time left. */
  progress(what: string): Progress {
    const status = this.status();
    const start = performance.now();
    return {
      update: (done, total, note = "") =>
        status.update(() => {
          const rate = (done * 1000) / (performance.now() - start);
          const left = total !== undefined && done > 0 ? `, ${duration((total - done) / rate)} left` : "";
          return `${what} ${done}${total === undefined ? "" : `/${total}`} (${rate.toFixed(1)}/s${left})${note && ` ${note}`}`;
        }),
      end: status.end,
    };
  }

  /** A line of progress in the caller's words: redrawn on a terminal, elsewhere written now and then. */
  status(): { update(line: () => string): void; end(): void } {
    if (this.quiet) return { update: () => undefined, end: () => undefined };
    const tty = this.#streams.stderr.isTTY === true;
    let last = tty ? -Infinity : performance.now();
    return {
      update: (line) => {
        const now = performance.now();
        if (now - last < (tty ? redrawMs : plainLineMs)) return;
        last = now;
        if (!tty) return void this.#streams.stderr.write(`${line()}\n`);
        this.#line = true;
        this.#streams.stderr.write(`\r\x1b[2K${line().slice(0, (this.#streams.stderr.columns ?? 80) - 1)}`);
      },
      end: () => this.#clear(),
    };
  }

  #clear(): void {
    if (!this.#line) return;
    this.#line = false;
    this.#streams.stderr.write("\r\x1b[2K");
  }
}

/** `1 h 02 min`, `3 min 20 s`, `12 s`. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s >= 3600)
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return s >= 60 ? `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s` : `${s} s`;
}

/** On one line, without characters that drive a terminal: names of files, classes and tensors are a stranger's. */
function oneLine(text: string): string {
  return printableName(text.replace(/\s*[\r\n]\s*/g, " "));
}

/** Rows as aligned columns; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => oneLine(String(cell))));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const right = head.map(
    (_, i) => rows.length > 0 && rows.every((row) => /^[-–\d.,%×± ]*( ?[BMkG]B?| ms)?$/.test(String(row[i]))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [pc.bold(line(cells[0]!)), ...cells.slice(1).map(line)].join("\n");
}
