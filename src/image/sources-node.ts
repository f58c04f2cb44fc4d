import { fileURLToPath } from "node:url";
import { ImageError, InterruptedError, MachineError, UsageError } from "../errors.ts";
import { fileTrouble, printableName, readOrdinaryFile } from "../files/index.ts";

/** Where an encoded picture comes from: a path, a `file:`, `http:` or `https:` URL, or its bytes. */
export type PictureSource = string | URL | Uint8Array;

/** Limits on what is read. */
export interface ReadLimits {
  /** Most bytes of an encoded picture; default 256 MiB. */
  readonly maxBytes?: number;
  /** How long a download may take; default 30,000. */
  readonly downloadTimeoutMs?: number;
  /** Refuses to use the network; default false. */
  readonly offline?: boolean;
  readonly signal?: AbortSignal;
}

const defaultMaxBytes = 2 ** 28;

/**
 * The bytes of an encoded picture, and what to call it in messages.
 *
 * @param name overrides the source's own name; bytes without one are "the picture"
 * @throws {ImageError} if there is no such file, it is no ordinary file, cannot be read or is too large, or the server
 * says no
 * @throws {UsageError} if the path is empty, or an address that is not read (`ftp:`)
 * @throws {MachineError} if the network fails
 */
export async function readSource(
  source: PictureSource,
  name?: string,
  limits: ReadLimits = {},
): Promise<{ bytes: Uint8Array; name: string }> {
  if (source instanceof Uint8Array) return { bytes: source, name: printableName(name ?? "the picture") };
  const text = source instanceof URL ? source.href : source;
  const shown = printableName(name ?? text);
  if (isWebUrl(text)) return { bytes: await download(text, limits), name: shown };
  const file = filePath(text);
  return { bytes: await readPictureFile(file, limits), name: shown };
}

/** Whether a text is an http(s) URL. */
export function isWebUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/**
 * The path that a path or `file:` URL means.
 *
 * @throws {UsageError} if it is empty, or another kind of address
 */
export function filePath(text: string): string {
  if (text === "")
    throw new UsageError("an empty path is given for a picture", "give a file, a folder, a URL or -");
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text)?.[1]?.toLowerCase(); // a single letter is a Windows drive
  if (scheme === undefined) return text;
  try {
    return fileURLToPath(text);
  } catch (cause) {
    throw new UsageError(
      `${printableName(text)} is no address that is read`,
      "http:, https: and file: (file:///folder/picture.jpg) are",
      cause,
    );
  }
}

/**
 * The bytes of an ordinary file.
 *
 * @throws {ImageError} if there is none, it is something else, too large, or may not be read
 * @throws {MachineError} if the machine refuses
 */
export async function readPictureFile(file: string, limits: ReadLimits = {}): Promise<Uint8Array> {
  const { maxBytes = defaultMaxBytes } = limits;
  try {
    return await readOrdinaryFile(file, maxBytes);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EFBIG") throw tooLarge(printableName(file), maxBytes);
    throw fileError(file, cause);
  }
}

/** The error that a failed file operation is, in the project's words. */
export function fileError(file: string, cause: unknown): ImageError | MachineError {
  const { code } = cause as NodeJS.ErrnoException;
  const shown = printableName(file);
  if ((code === "ENOENT" || code === "ENOTDIR") && file.includes("\ufffd"))
    return new ImageError(`${shown} cannot be found: its name is not UTF-8`, "rename the file", cause);
  if (code === "ENOENT" || code === "ENOTDIR")
    return new ImageError(`there is no ${shown}`, "check the path", cause);
  if (code === "EISDIR") return new ImageError(`${shown} is a folder`, "give a picture file", cause);
  if (code === "ENOTSUP") return new ImageError(`${shown} is no ordinary file`, "give a picture file", cause);
  if (code === "EACCES" || code === "EPERM")
    return new ImageError(`${shown} may not be read`, "check its permissions", cause);
  if (code === "EMFILE" || code === "ENFILE" || code === "ENOMEM" || code === "EIO")
    return new MachineError(`${shown} cannot be read (${code})`, "the machine refused; try again", cause);
  return new ImageError(`${shown} cannot be read: ${fileTrouble(cause)}`, "check the path", cause);
}

/**
 * All bytes of a stream, up to a limit: an announced length is never trusted.
 *
 * @throws {ImageError} if there are more
 * @throws {InterruptedError} when the signal is aborted
 */
export async function collect(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  { maxBytes = defaultMaxBytes, signal }: ReadLimits = {},
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const all = async (): Promise<Uint8Array> => {
    for await (const chunk of stream) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(name, maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  };
  if (signal === undefined) return all();
  if (signal.aborted) throw new InterruptedError();
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new InterruptedError());
    signal.addEventListener("abort", stop, { once: true });
    void all()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", stop));
  });
}

/**
 * The bytes at an http(s) address.
 *
 * @throws {ImageError} if the server says no, or sends too much
 * @throws {MachineError} if the network fails, takes too long, or is not to be used
 */
export async function download(url: string, limits: ReadLimits = {}): Promise<Uint8Array> {
  const { downloadTimeoutMs = 30_000, offline = false } = limits;
  const shown = printableName(url);
  if (offline)
    throw new MachineError(`${shown} is not fetched`, "--offline forbids the network; give a local file");
  if (!URL.canParse(url)) throw new UsageError(`${shown} is no URL`, "write https://host/picture.jpg");
  const timeout = AbortSignal.timeout(downloadTimeoutMs);
  const signal = limits.signal === undefined ? timeout : AbortSignal.any([timeout, limits.signal]);
  try {
    const response = await fetch(url, { signal, headers: { accept: "image/*,*/*;q=0.5" } });
    if (!response.ok) {
      await response.body?.cancel();
      throw new ImageError(
        `${shown} answered ${response.status} ${response.statusText}`.trim(),
        "check the address",
      );
    }
    return response.body === null ? new Uint8Array(0) : await collect(response.body, shown, limits);
  } catch (cause) {
    if (limits.signal?.aborted === true) throw new InterruptedError();
    if (cause instanceof ImageError) throw cause;
    if (timeout.aborted)
      throw new MachineError(
        `${shown} took more than ${downloadTimeoutMs / 1000} s`,
        "try again, or download it first",
        cause,
      );
    const inner = (cause as Error).cause as NodeJS.ErrnoException | undefined;
    const reason = inner?.code ?? inner?.message ?? (cause as Error).message;
    throw new MachineError(
      `${shown} cannot be fetched (${reason})`,
      "check the address and the network",
      cause,
    );
  }
}

function tooLarge(name: string, maxBytes: number): ImageError {
  const mebibytes = Math.round((maxBytes / 2 ** 20) * 10) / 10;
  return new ImageError(`${name} is larger than ${mebibytes} MiB`, "raise maxBytes if it is meant");
}
