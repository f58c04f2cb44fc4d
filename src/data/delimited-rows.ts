/** A row of a delimited file: its fields, and the line where it begins, from 1. */
export interface DelimitedRow {
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * Rows of CSV text (RFC 4180: quotes, doubled quotes, line breaks in quotes); fields are trimmed, empty rows left out.
 *
 * @param delimiter without one: whichever of comma, semicolon and tab occurs most in the first line
 */
export function parseDelimited(text: string, delimiter: string = likelyDelimiter(text)): DelimitedRow[] {
  const rows: DelimitedRow[] = [];
  let fields: string[] = [];
  let field = "";
  let line = 1;
  let start = 1;
  const endRow = () => {
    fields.push(field.trim());
    if (fields.some((value) => value !== "")) rows.push({ line: start, fields });
    [fields, field] = [[], ""];
  };
  for (let at = text.charCodeAt(0) === 0xfeff ? 1 : 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === '"' && field.trim() === "") {
      for (at++; at < text.length; at++) {
        if (text[at] === '"' && text[at + 1] === '"') field += text[at++]!;
        else if (text[at] === '"') break;
        else {
          if (text[at] === "\n") line++;
          field += text[at]!;
        }
      }
    } else if (character === delimiter) {
      fields.push(field.trim());
      field = "";
    } else if (character === "\n") {
      endRow();
      start = ++line;
    } else field += character;
  }
  endRow();
  return rows;
}

function likelyDelimiter(text: string): string {
  const first = text.slice(0, text.indexOf("\n") === -1 ? text.length : text.indexOf("\n"));
  const count = (mark: string) => first.split(mark).length;
  return [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
}
