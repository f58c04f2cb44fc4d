import { open, rename, rm, stat, utimes } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { InterruptedError } from "../errors.ts";

/** How often a holder shows that it lives, how long silence counts as death, and how often a waiter looks. */
export interface LockTimes {
  readonly beatMs: number;
  readonly staleMs: number;
  readonly pollMs: number;
}

const usual: LockTimes = { beatMs: 5_000, staleMs: 30_000, pollMs: 200 };

/**
 * Does something while holding a lock file, so that processes (on one machine or a shared disk) take turns. A holder
 * renews the file's time; one that died leaves a file that grows old, which the next takes over.
 *
 * @throws {InterruptedError} if the signal ends the waiting; whatever the action throws passes through
 */
export async function withFileLock<T>(
  file: string,
  action: () => Promise<T>,
  { signal, times = usual }: { readonly signal?: AbortSignal; readonly times?: LockTimes } = {},
): Promise<T> {
  for (;;) {
    try {
      await (await open(file, "wx")).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (await isStale(file, times.staleMs)) {
      // Of several waiters only one wins the renaming; the others find a fresh lock or none.
      const grave = `${file}.${randomBytes(6).toString("hex")}`;
      await rename(file, grave).then(
        () => rm(grave, { force: true }),
        () => undefined,
      );
      continue;
    }
    await sleep(times.pollMs, undefined, { signal }).catch(() => {
      throw new InterruptedError();
    });
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined);
  }, times.beatMs);
  beat.unref();
  try {
    return await action();
  } finally {
    clearInterval(beat);
    await rm(file, { force: true });
  }
}

async function isStale(file: string, staleMs: number): Promise<boolean> {
  try {
    return Date.now() - (await stat(file)).mtimeMs > staleMs;
  } catch {
    return false; // gone meanwhile: the next round takes it
  }
}
