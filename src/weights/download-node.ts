import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { InterruptedError, MachineError } from "../errors.ts";

/** How far a download is; `totalBytes` is missing where the server does not say. */
export interface DownloadProgress {
  readonly receivedBytes: number;
  readonly totalBytes: number | undefined;
}

/** Options of {@link download}. */
export interface DownloadOptions {
  /** First hex digits of the file's SHA-256; any number of them. Missing: not checked. */
  readonly sha256Start?: string;
  /** Added to errors: how to go on by hand. */
  readonly byHand?: string;
  readonly onProgress?: (progress: DownloadProgress) => void;
  readonly signal?: AbortSignal;
  /** How often to try before giving up. Default 5. */
  readonly attempts?: number;
  /** Wait before the second try; doubled each time. Default 500. */
  readonly retryDelayMs?: number;
  /** A connection that gives nothing for so long is dropped. Default 30,000. */
  readonly stallMs?: number;
}

/** Larger than any file of the registry; a server that sends without end is stopped. */
const maxBytes = 2 ** 31;

/**
 * Fetches a file, going on where an earlier try ended (`FILE.part`), checks its hash, and only then gives it its name.
 *
 * @throws {MachineError} if it cannot be had: no network, refused by the server, or of another hash than expected
 * @throws {InterruptedError} if the signal ends it; what came so far is kept for the next time
 */
export async function download(url: string, file: string, options: DownloadOptions = {}): Promise<void> {
  const { attempts = 5, retryDelayMs = 500, byHand, signal } = options;
  const part = `${file}.part`;
  let hashFailed = false;
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw new InterruptedError();
    try {
      const resumed = await fetchInto(url, part, options);
      if (await hasHash(part, options.sha256Start)) break;
      await rm(part, { force: true });
      // Two halves of different files give a wrong hash; a whole file that does is wrong itself.
      if (!resumed || hashFailed)
        throw new MachineError(
          `the file from ${url} is not the expected one: its SHA-256 does not begin with ${options.sha256Start}`,
          byHand ?? "a proxy may have changed it; try again later",
        );
      hashFailed = true;
    } catch (error) {
      if (signal?.aborted) throw new InterruptedError();
      if (error instanceof MachineError) throw error;
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOSPC" || code === "EACCES" || code === "EROFS")
        throw new MachineError(
          `${part} cannot be written (${code})`,
          code === "ENOSPC" ? "free some disk space" : "check the rights of the folder, or pass --cache-dir",
          error,
        );
      if (attempt >= attempts)
        throw new MachineError(
          `${url} cannot be fetched (${reasonOf(error)})`,
          byHand ?? "check the network",
          error,
        );
      await sleep(retryDelayMs * 2 ** (attempt - 1), undefined, { signal }).catch(() => undefined);
    }
  }
  await rename(part, file);
}

/** A failure that another try may mend. */
class TryAgain extends Error {}

/** Fetches what is missing of a file; true if an earlier part was continued. */
async function fetchInto(url: string, part: string, options: DownloadOptions): Promise<boolean> {
  const { stallMs = 30_000, byHand, onProgress } = options;
  const have = await sizeOf(part);
  const stall = new AbortController();
  const cancel = () => stall.abort();
  let timer = setTimeout(cancel, stallMs);
  options.signal?.addEventListener("abort", cancel, { once: true });
  try {
    const response = await fetch(url, {
      headers:
        have > 0
          ? { range: `bytes=${have}-`, "accept-encoding": "identity" }
          : { "accept-encoding": "identity" },
      signal: stall.signal,
    });
    const { status } = response;
    if (status === 416 && have > 0) {
      await response.body?.cancel();
      // The part is as long as the file, or longer: its hash tells which.
      const whole = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]);
      if (whole === have) return true;
      await rm(part, { force: true });
      throw new TryAgain("the part is longer than the file");
    }
    if (status === 429 || status >= 500) {
      await response.body?.cancel();
      throw new TryAgain(`the server answers ${status}`);
    }
    if ((status !== 200 && status !== 206) || response.body === null) {
      await response.body?.cancel();
      throw new MachineError(`the server answers ${status} for ${url}`, byHand ?? "check the address");
    }
    const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
    if (status === 206 && Number(start) !== have) {
      await response.body.cancel();
      await rm(part, { force: true });
      throw new TryAgain("the server continues at another place");
    }
    const resumed = status === 206 && have > 0;
    let received = resumed ? have : 0;
    const length = Number(response.headers.get("content-length") ?? NaN);
    const total = Number.isFinite(length) ? received + length : undefined;
    if ((total ?? 0) > maxBytes)
      throw new MachineError(`${url} is ${total} bytes long, more than any weights`, byHand);
    const handle = await open(part, resumed ? "a" : "w");
    try {
      onProgress?.({ receivedBytes: received, totalBytes: total });
      for await (const chunk of response.body) {
        clearTimeout(timer);
        timer = setTimeout(cancel, stallMs);
        await handle.writeFile(chunk);
        received += chunk.byteLength;
        if (received > maxBytes)
          throw new MachineError(`${url} sends over ${maxBytes} bytes, more than any weights`, byHand);
        onProgress?.({ receivedBytes: received, totalBytes: total });
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (total !== undefined && received !== total)
      throw new TryAgain(`only ${received} of ${total} bytes came`);
    return resumed;
  } catch (error) {
    if (stall.signal.aborted && !options.signal?.aborted)
      throw new TryAgain(`nothing came for ${stallMs / 1000} s`, { cause: error });
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", cancel);
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    return 0;
  }
}

async function hasHash(file: string, start: string | undefined): Promise<boolean> {
  return start === undefined || (await sha256Of(file)).startsWith(start.toLowerCase());
}

/** The SHA-256 of a file as hex digits. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  if (error instanceof TryAgain) return message;
  // `fetch` says only that it failed; the reason is inside.
  const inner = cause as NodeJS.ErrnoException | undefined;
  return inner?.code ?? inner?.message ?? message;
}
