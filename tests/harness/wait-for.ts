import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 20;

/**
 * Waits until the predicate gives a value other than undefined or false, and returns it.
 *
 * @throws Error that names `what` and the last error of the predicate, if it threw
 */
export async function waitFor<T>(
  predicate: () => T | Promise<T>,
  { timeoutMs = 30_000, what }: { timeoutMs?: number; what: string },
): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  let failure: unknown;
  do {
    try {
      const value = await predicate();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    await sleep(POLL_MS);
  } while (Date.now() < deadline);
  throw new Error(
    `Waited ${timeoutMs} ms in vain for ${what}.`,
    failure === undefined ? {} : { cause: failure },
  );
}
