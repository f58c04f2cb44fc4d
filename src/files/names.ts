/** Names that Windows keeps for devices. */
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/**
 * A text as a part of a file name on any system: what is not allowed there, and spaces, become "-"; never empty, never
 * hidden, at most 80 characters and 120 bytes.
 */
export function fileNamePart(text: string): string {
  const plain = text
    .normalize("NFC")
    .replace(/[\p{C}\p{Z}<>:"/\\|?*]+/gu, "-")
    .replace(/^[.-]+|[.-]+$/g, "");
  const short = withinBytes([...plain].slice(0, 80).join(""), 120).replace(/[.-]+$/, "");
  if (short === "") return "unnamed";
  return reserved.test(short) ? `${short}-` : short;
}

const utf8 = new TextEncoder();

/** What file systems take for a name (bytes of UTF-8), less some room for a number that tells equal names apart. */
const longestName = 255 - 8;

/** A name's beginning, as much of it as fits a file name with `more` bytes after it; all of it where that fits. */
export function fittingName(stem: string, more: number): string {
  return withinBytes(stem, longestName - more);
}

/** The longest beginning of a text, in whole characters, that has at most so many bytes in UTF-8. */
export function withinBytes(text: string, bytes: number): string {
  const sizeOf = (part: string): number => utf8.encode(part).length;
  if (sizeOf(text) <= bytes) return text;
  let [short, size] = ["", 0];
  for (const character of text) {
    size += sizeOf(character);
    if (size > bytes) break;
    short += character;
  }
  return short;
}

/**
 * Gives each name out once: what was taken before gets "-2", "-3", … (before its ending). Upper and lower case count as
 * equal, as on Windows and macOS.
 */
export function uniqueNames(): (name: string) => string {
  const taken = new Set<string>();
  return (name) => {
    const dot = name.lastIndexOf(".");
    const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
    let unique = name;
    for (let number = 2; taken.has(unique.toLowerCase()); number++) unique = `${stem}-${number}${ending}`;
    taken.add(unique.toLowerCase());
    return unique;
  };
}

/** A name as messages show it: on one line, with control characters (which could drive a terminal) as escapes. */
export function printableName(name: string): string {
  return name.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, "0")}`,
  );
}
