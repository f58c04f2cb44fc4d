/** Turns offsets in a text into line numbers, from 1. */
export class TextLines {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.#starts.push(at + 1);
  }

  /** The line in which the character at `offset` lies. */
  at(offset: number): number {
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }
}

/**
 * Where the elements of a top-level array of a JSON document begin: the offsets of `{ "KEY": [ here, here, … ] }`, in
 * order. For a document that `JSON.parse` has accepted; empty where there is no such array.
 */
export function elementOffsets(json: string, key: string): number[] {
  const offsets: number[] = [];
  let depth = 0;
  let inside = false; // in the array asked for
  let expecting = false; // an element of it may begin here
  let name = "";
  for (let at = 0; at < json.length; at++) {
    const character = json.charCodeAt(at);
    if (character <= 32) continue;
    const opens = character === 123 || character === 91; // { [
    const closes = character === 125 || character === 93; // } ]
    if (inside && expecting && !closes && character !== 44) {
      offsets.push(at);
      expecting = false;
    }
    if (character === 34) {
      const start = at;
      at = stringEnd(json, at);
      if (depth === 1) name = json.slice(start + 1, at);
    } else if (opens) {
      depth++;
      if (depth === 2 && character === 91 && name === key) [inside, expecting] = [true, true];
    } else if (closes) {
      depth--;
      if (depth === 1) inside = false;
    } else if (character === 44 && depth === 2) expecting = true;
  }
  return offsets;
}

/** Offset of the quotation mark that ends the string beginning at `at`. */
function stringEnd(json: string, at: number): number {
  for (let end = json.indexOf('"', at + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (json.charCodeAt(end - 1 - backslashes) === 92) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return json.length;
}
