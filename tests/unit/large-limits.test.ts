import fc from "fast-check";

import { maxCapacity, type Algorithm, type Limit } from "../../functions/src/rate-limit/limit-algorithms";
import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { checkPolicy } from "../../functions/src/rate-limit/policy";

/** One limit, counted in integers of any size. */
class ExactCount {
  private charged = 0n;
  private before = 0n;
  private time = 0n;
  private readonly perWindow: bigint;
  private readonly capacity: bigint;
  private readonly window: bigint;

  constructor(private readonly limit: Limit) {
    this.perWindow = BigInt(limit.limit);
    this.capacity = BigInt(limit.capacity);
    this.window = BigInt(limit.windowMs / limit.unitMs);
  }

  /** The cost that there is room for. */
  room(nowMs: number): number {
    const { capacity, window, limit } = this;
    const now = BigInt(nowMs) / BigInt(limit.unitMs);
    if (limit.algorithm === "token-bucket") {
      const level = this.charged - (now - this.time) * this.perWindow;
      this.charged = level > 0n ? level : 0n;
      this.time = now;
      return Number((capacity * window - this.charged) / window);
    }
    const start = now - (now % window);
    if (start > this.time) {
      this.before = start - this.time === window ? this.charged : 0n;
      this.charged = 0n;
      this.time = start;
    }
    if (limit.algorithm === "fixed-window") return Number(capacity - this.charged);
    const weighted = this.before * (window - (now - start));
    return Number(((capacity - this.charged) * window - weighted) / window);
  }

  charge(cost: number): void {
    this.charged += BigInt(cost) * (this.limit.algorithm === "token-bucket" ? this.window : 1n);
  }
}

const DAY_MS = 86_400_000;
const WINDOWS_MS = [1, 7, 1000, 60_000, DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 30 * DAY_MS + 1, 366 * DAY_MS];
const somePart = (max: number) => fc.double({ min: 0, max, noNaN: true });

test("limits up to the largest are counted exactly, and may be tried again at the first millisecond", async () => {
  const someLimit = fc.record({
    algorithm: fc.constantFrom<Algorithm[]>("fixed-window", "sliding-window", "token-bucket"),
    windowMs: fc.constantFrom(...WINDOWS_MS),
    partOfLargest: fc.oneof(fc.constant(1), somePart(1)),
  });
  const someCalls = fc.array(
    fc.record({
      windowsLater: fc.oneof(fc.constant(0), somePart(2.5)),
      partOfRoom: fc.oneof(fc.constantFrom(0, 1), somePart(1)),
      more: fc.constantFrom(0, 0, 1, 1000),
    }),
    { minLength: 1, maxLength: 20 },
  );
  await fc.assert(
    fc.asyncProperty(someLimit, someCalls, async ({ algorithm, windowMs, partOfLargest }, calls) => {
      const limit = Math.max(1, Math.floor(maxCapacity(algorithm, windowMs) * partOfLargest));
      const { limits } = checkPolicy("p", { by: "uid", limits: [{ algorithm, limit, windowMs }] });
      const exact = new ExactCount(limits.limits[0]!);
      let nowMs = Date.UTC(2026, 0, 1);
      const store = new LocalRateLimitStore(() => nowMs);
      for (const { windowsLater, partOfRoom, more } of calls) {
        nowMs += Math.floor(windowsLater * windowMs);
        const room = exact.room(nowMs);
        const cost = Math.max(1, Math.floor(room * partOfRoom) + more);
        const decision = await store.take(limits, "a", { cost, peek: false });
        const allowed = cost <= room;
        if (allowed) exact.charge(cost);
        expect(decision).toMatchObject({ allowed, remaining: exact.room(nowMs) });
        if (allowed || cost > limit) continue;
        const askedMs = nowMs;
        nowMs = askedMs + decision.retryAfterMs - 1;
        expect(await store.take(limits, "a", { cost, peek: true })).toMatchObject({ allowed: false });
        nowMs = askedMs + decision.retryAfterMs;
        expect(await store.take(limits, "a", { cost, peek: true })).toMatchObject({ allowed: true });
        nowMs = askedMs;
      }
    }),
    { numRuns: 300 },
  );
});
