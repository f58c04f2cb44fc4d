import { readFile } from "node:fs/promises";
import { DataError } from "../errors.ts";
import type { ModelClass } from "../weights/index.ts";

/**
 * Names of classes from a text file: one name a line, in the model's order (ids then count from 1), or `id name`
 * or `id,name` a line where every line begins with a number. Empty lines and `#` comments are passed over.
 *
 * @throws {DataError} if the file cannot be read, is empty, or names an id twice
 */
export async function readClassNames(file: string): Promise<ModelClass[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new DataError(`the class names cannot be read (${file})`, "check the path", cause);
  }
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0) throw new DataError(`there are no class names (${file})`, "write one a line");
  const numbered = lines.map((line) => /^(\d{1,9})[\s,;:]+(\S.*)$/.exec(line));
  const classes = numbered.every((match) => match !== null)
    ? numbered.map((match) => ({ id: Number(match![1]), name: match![2]! }))
    : lines.map((name, i) => ({ id: i + 1, name }));
  if (new Set(classes.map((c) => c.id)).size !== classes.length) throw new DataError(`an id stands twice (${file})`, "give every class its own id");
  return classes;
}
