/** The middle of some figures. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Keeps so many pieces of work going until all are done. */
export async function concurrently(
  width: number,
  count: number,
  work: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker));
}

/** Duration of each of so many pieces of work, one after the other, in microseconds. */
export async function durationsUs(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const durations: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await work();
    durations.push((performance.now() - start) * 1000);
  }
  return durations;
}

/** How many pieces of work so many callers get done per second, each asking again once it is answered. */
export async function callsPerSecond(
  callers: number,
  forMs: number,
  work: () => Promise<unknown>,
): Promise<number> {
  const start = performance.now();
  let calls = 0;
  const caller = async () => {
    while (performance.now() - start < forMs) {
      await work();
      calls++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return calls / ((performance.now() - start) / 1000);
}
