/** The time for some work was up. */
export class TimeUpError extends Error {
  override readonly name = "TimeUpError";
}

/**
 * Waits for work at most so many milliseconds. What is late goes on, but nobody waits for it any more. What has arrived
 * by then while this process paused is read first.
 *
 * @throws TimeUpError with `message` when the time is up, or what the work throws.
 */
export async function withDeadline<T>(work: Promise<T>, timeoutMs: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => setImmediate(() => reject(new TimeUpError(message))), timeoutMs);
  });
  try {
    return await Promise.race([work, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}
