/**
 * A value from a file as one short line of text for an error message: control characters escaped, at most `limit`
 * characters, whatever the value is (a hostile name of a megabyte, a structure ten thousand levels deep).
 */
export function printable(value: unknown, limit = 80): string {
  let text: string;
  try {
    text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  } catch {
    text = typeof value;
  }
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return short.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
