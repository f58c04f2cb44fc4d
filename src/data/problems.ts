import path from "node:path";
import { DataError } from "../errors.ts";

/** Sorts of broken annotations. */
export type ProblemKind =
  | "syntax" // a file that is not well-formed
  | "bad-value" // a number or field that is missing or makes no sense
  | "zero-area" // a box without width or height
  | "swapped-corners" // a box whose minimum lies beyond its maximum
  | "outside" // a box that does not touch its picture
  | "clipped" // a box that reaches beyond its picture
  | "unknown-class" // an object of a class that is not in the list
  | "duplicate-object" // the same box of the same class twice
  | "duplicate-picture" // a picture listed twice, or in two splits
  | "missing-picture" // a label without its picture
  | "missing-annotation" // a listed picture without its label file
  | "unreadable-picture" // a picture that cannot be decoded
  | "size-mismatch"; // a label that tells another size than the picture has

/** Something broken in a data set, and what was done about it. */
export interface Problem {
  readonly kind: ProblemKind;
  /** Absolute path of the annotation or picture. */
  readonly file: string;
  /** Line in the annotation, from 1; absent where there is none to point at. */
  readonly line?: number;
  /** Id of the picture that it concerns, if there is one. */
  readonly image?: number | string;
  /** What is wrong, with the values. */
  readonly message: string;
  /** What was done, such as `object left out`. */
  readonly done: string;
}

/** One line: `FILE:LINE: WHAT; DONE`, with the path taken from `from`. */
export function formatProblem(problem: Problem, from: string = process.cwd()): string {
  const relative = path.relative(from, problem.file);
  const file = relative === "" || relative.startsWith("..") ? problem.file : relative;
  const line = problem.line === undefined ? "" : `:${problem.line}`;
  return `${file}${line}: ${problem.message}; ${problem.done}`;
}

/**
 * Makes problems fatal (`--strict`).
 *
 * @throws {DataError} with the first of the problems and their number, if there are any
 */
export function refuseProblems(problems: readonly Problem[]): void {
  const [first] = problems;
  if (first === undefined) return;
  const others = problems.length === 1 ? "" : `, and ${problems.length - 1} more`;
  throw new DataError(
    `broken annotation: ${formatProblem({ ...first, done: "" }).replace(/; $/, "")}${others}`,
    "correct the files (efficientdet inspect lists every problem), or leave --strict out",
  );
}
