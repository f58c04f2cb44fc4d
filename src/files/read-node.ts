import { constants } from "node:fs";
import { open } from "node:fs/promises";

/**
 * All bytes of an ordinary file. What never ends or never begins (a device, a named pipe without a writer) is not waited
 * for.
 *
 * @throws {NodeJS.ErrnoException} with the system's code; EISDIR for a folder, ENOTSUP for what is no ordinary file, EFBIG
 * for more than `maxBytes`
 */
export async function readOrdinaryFile(file: string, maxBytes = Infinity): Promise<Uint8Array> {
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const found = await handle.stat();
    if (found.isDirectory()) throw coded("EISDIR");
    if (!found.isFile()) throw coded("ENOTSUP");
    if (found.size > maxBytes) throw coded("EFBIG");
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function coded(code: string): Error {
  return Object.assign(new Error(code), { code });
}

const troubles: Record<string, string> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder",
  ENOTSUP: "it is no ordinary file",
  EFBIG: "it is too large",
  EACCES: "it may not be read",
  EPERM: "it may not be read",
  ELOOP: "its links lead round in a circle",
  ENAMETOOLONG: "its name is too long",
  ERR_INVALID_ARG_VALUE: "its name holds a zero byte",
};

/** What kept a file from being read, in words: the end of a sentence. */
export function fileTrouble(cause: unknown): string {
  const { code = String(cause) } = cause as NodeJS.ErrnoException;
  return troubles[code] ?? code;
}
