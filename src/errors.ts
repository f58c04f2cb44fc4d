/**
 * Every error that a user can cause, or can do something about, is an {@link EfficientDetError}: a stable `code`,
 * one sentence that says what was wrong and where, and a `hint` that says what to do.
 *
 * The command line prints `error: MESSAGE: HINT`; `exitCode` is the process's (see the interface, section 1).
 */
export class EfficientDetError extends Error {
  override readonly name: string = "EfficientDetError";
  readonly code: string;
  readonly hint: string | undefined;
  readonly exitCode: number;

  constructor(code: string, message: string, options: { hint?: string; exitCode: number; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.exitCode = options.exitCode;
  }
}

/** Wrong usage: an unknown flag, key, model or class, or a value outside its range. Exit code 2. */
export class UsageError extends EfficientDetError {
  override readonly name = "UsageError";
  constructor(message: string, hint?: string, cause?: unknown) {
    super("E_USAGE", message, { hint, exitCode: 2, cause });
  }
}

/** A picture that cannot be decoded or used. Exit code 3. */
export class ImageError extends EfficientDetError {
  override readonly name = "ImageError";
  constructor(message: string, hint?: string, cause?: unknown) {
    super("E_IMAGE", message, { hint, exitCode: 3, cause });
  }
}

/** A weight file that is broken, hostile, foreign, or does not fit the model. Exit code 3. */
export class WeightsError extends EfficientDetError {
  override readonly name = "WeightsError";
  constructor(message: string, hint?: string, cause?: unknown) {
    super("E_WEIGHTS", message, { hint, exitCode: 3, cause });
  }
}

/** Annotations or result files that cannot be read or do not belong together. Exit code 3. */
export class DataError extends EfficientDetError {
  override readonly name = "DataError";
  constructor(message: string, hint?: string, cause?: unknown) {
    super("E_DATA", message, { hint, exitCode: 3, cause });
  }
}

/** A configuration file or object that does not fit its schema. Exit code 3. */
export class ConfigError extends EfficientDetError {
  override readonly name = "ConfigError";
  constructor(message: string, hint?: string, cause?: unknown) {
    super("E_CONFIG", message, { hint, exitCode: 3, cause });
  }
}

/** The machine refused: disk full, no memory, no network, no such device. Exit code 4. */
export class MachineError extends EfficientDetError {
  override readonly name = "MachineError";
  constructor(message: string, hint?: string, cause?: unknown) {
    super("E_MACHINE", message, { hint, exitCode: 4, cause });
  }
}

/** Whether an engine or the language says that memory does not suffice: each has words of its own for it. */
export function isOutOfMemory(error: unknown): boolean {
  const { code, message = String(error) } = error as { code?: string; message?: string };
  return (
    code === "ERR_MEMORY_ALLOCATION_FAILED" ||
    /out of memory|bad_alloc|bad allocation|allocation failed|failed to allocate/i.test(message)
  );
}

/** Shapes or element types that do not fit an operation. In our own graphs a defect; in a user's, a mistake. */
export class ShapeError extends EfficientDetError {
  override readonly name = "ShapeError";
  constructor(message: string, hint?: string) {
    super("E_SHAPE", message, { hint, exitCode: 70 });
  }
}

/** Stopped by the user (Ctrl-C, an AbortSignal). Exit code 130. */
export class InterruptedError extends EfficientDetError {
  override readonly name = "InterruptedError";
  constructor(message = "interrupted", hint?: string) {
    super("E_INTERRUPTED", message, { hint, exitCode: 130 });
  }
}

/** The known name nearest to `name` by edit distance, if it is near enough to be meant. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** `did you mean X?` where something near is known, else the list of what is known. */
export function suggest(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? `known: ${known.join(", ")}` : `did you mean ${near}?`;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length]!;
}
