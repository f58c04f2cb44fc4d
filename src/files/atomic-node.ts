import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { MachineError } from "../errors.ts";

/**
 * Writes a file so that its name holds either the old content or all of the new, whatever happens: to a temporary name
 * beside it, then renamed. Missing folders are made. Content may come in pieces.
 *
 * @throws {MachineError} if the machine refuses (disk full, no permission, read-only, a folder of that name): nothing is
 * left behind
 */
export async function writeFileAtomic(
  file: string,
  content: Uint8Array | string | Iterable<Uint8Array | string>,
  options: AtomicOptions = {},
): Promise<void> {
  const writer = await openAtomic(file, options);
  const pieces = typeof content === "string" || content instanceof Uint8Array ? [content] : content;
  try {
    for (const piece of pieces) await writer.write(piece);
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** How careful to be. */
export interface AtomicOptions {
  /** Waits until the disk has it, so that even a power cut leaves no empty file; costs milliseconds. Default false. */
  readonly durable?: boolean;
}

/** A file that grows under a temporary name and appears under its own when it is complete. */
export interface AtomicWriter {
  /** Appends. @throws {MachineError} if the machine refuses */
  write(content: Uint8Array | string): Promise<void>;
  /** Gives the file its name, in place of what had it. @throws {MachineError} if the machine refuses */
  commit(): Promise<void>;
  /** Drops what was written; nothing happens after `commit`. */
  abort(): Promise<void>;
}

/**
 * Opens a file to be written piece by piece (results of a long run), with {@link writeFileAtomic}'s promise.
 *
 * @throws {MachineError} if the machine refuses
 */
export async function openAtomic(file: string, options: AtomicOptions = {}): Promise<AtomicWriter> {
  const folder = path.dirname(file);
  const temporary = path.join(folder, temporaryName(path.basename(file)));
  let handle: FileHandle | undefined;
  try {
    await mkdir(folder, { recursive: true });
    handle = await open(temporary, "wx");
  } catch (cause) {
    throw refused(file, cause);
  }
  remember(temporary);
  const abort = async () => {
    if (!pending.delete(temporary)) return;
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
  };
  const attempt = async (action: () => Promise<unknown>) => {
    try {
      await action();
    } catch (cause) {
      await abort();
      throw refused(file, cause);
    }
  };
  return {
    write: (content) => attempt(() => handle.writeFile(content)),
    commit: () =>
      attempt(async () => {
        if (options.durable === true) await handle.sync();
        await handle.close();
        await renamePatiently(temporary, file);
        pending.delete(temporary);
      }),
    abort,
  };
}

/**
 * Removes what killed runs left in a folder: temporary files of {@link openAtomic} whose process is gone. Does nothing
 * where it may not.
 */
export async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const owner = /^\..+\.(\d+)-[0-9a-f]{8}\.part$/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner)))
      await rm(path.join(folder, name), { force: true }).catch(() => undefined);
  }
}

/** Temporary files of this process; removed if it ends by itself before they are complete. */
const pending = new Set<string>();
let watching = false;

function remember(temporary: string): void {
  pending.add(temporary);
  if (watching) return;
  watching = true;
  process.on("exit", () => {
    for (const file of pending) rmSync(file, { force: true });
  });
}

/** Hidden, in the same folder (renaming does not cross file systems), and no other process's or call's. */
function temporaryName(name: string): string {
  return `.${name.slice(0, 100)}.${process.pid}-${randomBytes(4).toString("hex")}.part`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Windows refuses to replace a file that a virus scanner or viewer has open for a moment. */
async function renamePatiently(from: string, to: string): Promise<void> {
  for (let waitMs = 20; ; waitMs *= 2)
    try {
      return await rename(from, to);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (
        process.platform !== "win32" ||
        waitMs > 1000 ||
        (code !== "EPERM" && code !== "EACCES" && code !== "EBUSY")
      )
        throw error;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
}

const reasons: Record<string, readonly [what: string, hint: string]> = {
  ENOSPC: ["the disk is full", "free some space, or write elsewhere"],
  EDQUOT: ["the disk quota is used up", "free some space, or write elsewhere"],
  EACCES: ["no permission", "check the folder's permissions, or write elsewhere"],
  EPERM: ["no permission", "check the folder's permissions, or write elsewhere"],
  EROFS: ["the file system is read-only", "write elsewhere"],
  EISDIR: ["a folder has that name", "give another name"],
  ENOTDIR: ["a part of the path is a file", "give another path"],
  EEXIST: ["a part of the path is a file", "give another path"],
  ENAMETOOLONG: ["the name is too long", "give a shorter one"],
  EMFILE: ["too many open files", "raise the limit (ulimit -n)"],
  EFBIG: ["the file is too large for the file system", "write elsewhere"],
  EIO: ["the disk reported an error", "check the disk"],
};

function refused(file: string, cause: unknown): MachineError {
  const code = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
  const [what, hint] = reasons[code] ?? [code, "check the path"];
  return new MachineError(`${file} cannot be written: ${what}`, hint, cause);
}
