import { setTimeout as sleep } from "node:timers/promises";

/** Does the work for each item, so many at a time, and returns the results in the items' order. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const rest = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of rest) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}

export interface Seen<T> {
  /** What was seen last, whether it is what was looked for or not. */
  readonly last: T;
  /** From the call until then, in milliseconds. */
  readonly ms: number;
}

/** Looks again and again until what is seen will do, or the time is up. */
export async function lookUntil<T>(
  look: () => Promise<T>,
  willDo: (seen: T) => boolean,
  { timeoutMs = 10_000, everyMs = 5 } = {},
): Promise<Seen<T>> {
  const startedAt = performance.now();
  for (;;) {
    const last = await look();
    const ms = performance.now() - startedAt;
    if (willDo(last) || ms > timeoutMs) return { last, ms };
    await sleep(everyMs);
  }
}
