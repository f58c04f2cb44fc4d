import { createHash, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import path from "node:path";
import { MachineError } from "../errors.ts";
import { withinBytes } from "./names.ts";

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
    if (!tidied.has(path.resolve(folder))) {
      tidied.add(path.resolve(folder));
      await removeAbandoned(folder);
    }
    remember(temporary);
    handle = await open(temporary, "wx");
  } catch (cause) {
    pending.delete(temporary);
    throw refused(file, cause);
  }
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

/** After so long without a write, nobody works on a file any more, whoever began it. */
const abandonedMs = 7 * 24 * 3_600_000;

/**
 * Removes what killed runs left in a folder: temporary files of {@link openAtomic} whose process, on this machine, is
 * gone, or that nobody has touched for a week. Does nothing where it may not. The first file that a process opens in a
 * folder does this by itself.
 */
export async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, owner, host] = /^\..+\.(\d+)-([0-9a-f]{4})[0-9a-f]{8}\.part$/.exec(name) ?? [];
    if (owner === undefined) continue;
    const file = path.join(folder, name);
    const gone = host === thisHost && !isAlive(Number(owner));
    if (gone || (await untouched(file))) await rm(file, { force: true }).catch(() => undefined);
  }
}

async function untouched(file: string): Promise<boolean> {
  return stat(file).then(({ mtimeMs }) => Date.now() - mtimeMs > abandonedMs, () => false); // prettier-ignore
}

/** Folders that this process has written to. */
const tidied = new Set<string>();

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

/** Tells machines (and containers) that share a disk apart: a process number means nothing on another. */
const thisHost = createHash("sha256").update(hostname()).digest("hex").slice(0, 4);

/** Hidden, in the same folder (renaming does not cross file systems), and no other process's or call's. */
function temporaryName(name: string): string {
  return `.${withinBytes(name, 100)}.${process.pid}-${thisHost}${randomBytes(4).toString("hex")}.part`;
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
