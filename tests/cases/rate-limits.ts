import type { Algorithm } from "../../functions/src/rate-limit/limit-algorithms";

/** Requests on one subject at given times, and what is decided: run against the pure functions and against the Lua. */
export interface RateLimitCase {
  readonly name: string;
  readonly limits: readonly {
    readonly algorithm: Algorithm;
    readonly limit: number;
    readonly windowMs: number;
    readonly burst?: number;
  }[];
  readonly requests: readonly {
    /** Milliseconds after a time that is a multiple of every window. */
    readonly atMs: number;
    /** 1 unless told. */
    readonly cost?: number;
    readonly operation?: "peek" | "refund";
    /** Of a refund nothing is expected. */
    readonly allowed?: boolean;
    readonly remaining?: number;
    readonly retryAfterMs?: number;
    /** After the same time as atMs. */
    readonly resetAtMs?: number;
  }[];
}

const MONTH_MS = 30 * 86_400_000;
/** When the window of 30 days ends that the cases begin in. */
const MONTH_END_MS = 8 * 86_400_000;
const FIXED = { algorithm: "fixed-window", limit: 3, windowMs: 60_000 } as const;
const SLIDING = { algorithm: "sliding-window", limit: 10, windowMs: 60_000 } as const;
const BUCKET = { algorithm: "token-bucket", limit: 6, windowMs: 60_000 } as const;

export const RATE_LIMIT_CASES: readonly RateLimitCase[] = [
  {
    name: "fixed-window: the limit is allowed, one more is refused, the next window starts anew",
    limits: [FIXED],
    requests: [
      { atMs: 10_000, allowed: true, remaining: 2, retryAfterMs: 0, resetAtMs: 60_000 },
      { atMs: 10_000, allowed: true, remaining: 1 },
      { atMs: 59_999, allowed: true, remaining: 0, resetAtMs: 60_000 },
      { atMs: 59_999, allowed: false, remaining: 0, retryAfterMs: 1, resetAtMs: 60_000 },
      { atMs: 60_000, allowed: true, remaining: 2, resetAtMs: 120_000 },
    ],
  },
  {
    name: "fixed-window: a cost that just fits is allowed, one that does not is refused whole and not charged",
    limits: [{ ...FIXED, limit: 10 }],
    requests: [
      { atMs: 0, cost: 4, allowed: true, remaining: 6 },
      { atMs: 1, cost: 7, allowed: false, remaining: 6, retryAfterMs: 59_999 },
      { atMs: 2, cost: 6, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "fixed-window: a limit of 0 refuses all",
    limits: [{ ...FIXED, limit: 0 }],
    requests: [{ atMs: 15_000, allowed: false, remaining: 0, retryAfterMs: 45_000, resetAtMs: 60_000 }],
  },
  {
    name: "fixed-window: a peek counts nothing, and sees a refusal",
    limits: [{ ...FIXED, limit: 1 }],
    requests: [
      { atMs: 0, operation: "peek", allowed: true, remaining: 1 },
      { atMs: 0, allowed: true, remaining: 0 },
      { atMs: 10, operation: "peek", allowed: false, remaining: 0, retryAfterMs: 59_990 },
    ],
  },
  {
    name: "fixed-window: a refund gives room, never more than was charged, and not in a later window",
    limits: [FIXED],
    requests: [
      { atMs: 0, cost: 3, allowed: true, remaining: 0 },
      { atMs: 1, operation: "refund", cost: 2 },
      { atMs: 2, operation: "peek", allowed: true, remaining: 2 },
      { atMs: 3, operation: "refund", cost: 3 },
      { atMs: 4, allowed: true, remaining: 2 },
      { atMs: 60_001, operation: "refund", cost: 3 },
      { atMs: 60_002, allowed: true, remaining: 2 },
    ],
  },
  {
    name: "fixed-window: a clock that was set back stays in the later window",
    limits: [FIXED],
    requests: [
      { atMs: 60_000, cost: 3, allowed: true, remaining: 0 },
      { atMs: 59_000, allowed: false, retryAfterMs: 61_000, resetAtMs: 120_000 },
    ],
  },
  {
    name: "fixed-window: a clock that was a window or more ahead and is right again starts anew",
    limits: [FIXED],
    requests: [
      { atMs: 10_000, cost: 2, allowed: true, remaining: 1 },
      { atMs: 3_600_000, cost: 3, allowed: true, remaining: 0 },
      { atMs: 11_000, operation: "peek", allowed: true, remaining: 3, resetAtMs: 60_000 },
      { atMs: 12_000, cost: 3, allowed: true, remaining: 0, resetAtMs: 60_000 },
      { atMs: 13_000, allowed: false, retryAfterMs: 47_000 },
      { atMs: 120_000, cost: 3, allowed: true },
      { atMs: 59_999, allowed: true, remaining: 2, resetAtMs: 60_000 },
    ],
  },
  {
    name: "sliding-window: a clock that was days ahead and is right again starts anew",
    limits: [SLIDING],
    requests: [
      { atMs: 10_000, cost: 4, allowed: true },
      { atMs: 5 * 86_400_000 + 60_000, cost: 10, allowed: true, remaining: 0 },
      { atMs: 5 * 86_400_000 + 61_000, allowed: false },
      { atMs: 11_000, cost: 10, allowed: true, remaining: 0 },
      { atMs: 12_000, allowed: false, retryAfterMs: 54_000 },
      // Nothing is left in the window after, either.
      { atMs: 60_000, operation: "peek", cost: 1, allowed: false, retryAfterMs: 6000 },
      { atMs: 120_000, cost: 10, allowed: true },
    ],
  },
  {
    name: "token-bucket: a clock that was a window or more ahead and is right again starts anew",
    limits: [BUCKET],
    requests: [
      { atMs: 0, cost: 3, allowed: true, remaining: 3 },
      { atMs: 3_600_000, cost: 6, allowed: true, remaining: 0 },
      { atMs: 1000, cost: 6, allowed: true, remaining: 0, resetAtMs: 61_000 },
      { atMs: 2000, allowed: false, retryAfterMs: 9000 },
      // In the next of Redis's generations, and more than a window ahead.
      { atMs: 70_000, cost: 6, allowed: true, remaining: 0 },
      { atMs: 3000, operation: "peek", allowed: true, remaining: 6, resetAtMs: 3000 },
      { atMs: 4000, allowed: true, remaining: 5, resetAtMs: 14_000 },
    ],
  },
  {
    name: "token-bucket: a clock that was less than a window ahead counts from there",
    limits: [BUCKET],
    requests: [
      { atMs: 30_000, cost: 6, allowed: true, remaining: 0, resetAtMs: 90_000 },
      { atMs: 10_000, allowed: false, remaining: 0, retryAfterMs: 30_000, resetAtMs: 90_000 },
      { atMs: 40_000, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "several limits: a clock that was ahead and is right again starts those anew that are too short for it",
    limits: [
      { algorithm: "fixed-window", limit: 2, windowMs: 10_000 },
      { algorithm: "sliding-window", limit: 5, windowMs: 86_400_000 },
      { algorithm: "token-bucket", limit: 2, windowMs: 10_000 },
    ],
    requests: [
      { atMs: 0, cost: 1, allowed: true },
      { atMs: 100_000, cost: 2, allowed: true },
      { atMs: 100_000, allowed: false },
      { atMs: 1000, cost: 2, allowed: true, remaining: 0 },
      { atMs: 100_000, allowed: false, remaining: 0, retryAfterMs: 103_580_000 },
    ],
  },
  {
    name: "sliding-window: what the window before was charged leaves in proportion",
    limits: [SLIDING],
    requests: [
      { atMs: 0, cost: 10, allowed: true, remaining: 0, resetAtMs: 60_000 },
      // Wholly inside the sliding window until the fixed one ends; a tenth leaves every 6 s after that.
      { atMs: 59_999, allowed: false, retryAfterMs: 6001 },
      { atMs: 60_000, allowed: false, retryAfterMs: 6000 },
      { atMs: 65_999, allowed: false, retryAfterMs: 1 },
      { atMs: 66_000, allowed: true, remaining: 0 },
      { atMs: 90_000, cost: 5, allowed: false, remaining: 4 },
      { atMs: 90_000, cost: 4, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "sliding-window: two windows later nothing is left",
    limits: [SLIDING],
    requests: [
      { atMs: 0, cost: 10, allowed: true },
      { atMs: 120_000, cost: 10, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "sliding-window: a refusal in the first window waits into the next",
    limits: [SLIDING],
    requests: [
      { atMs: 30_000, cost: 8, allowed: true, remaining: 2 },
      // 8 * (1 - e / 60 s) <= 10 - 6: half of the next window.
      { atMs: 30_000, cost: 6, allowed: false, remaining: 2, retryAfterMs: 60_000 },
      { atMs: 89_999, cost: 6, allowed: false, retryAfterMs: 1 },
      { atMs: 90_000, cost: 6, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "sliding-window: a refund reaches back into the window before",
    limits: [SLIDING],
    requests: [
      { atMs: 59_000, cost: 10, allowed: true },
      { atMs: 60_000, operation: "refund", cost: 10 },
      { atMs: 60_000, operation: "peek", allowed: true, remaining: 10 },
    ],
  },
  {
    name: "token-bucket: a burst, then one every window / limit",
    limits: [BUCKET],
    requests: [
      { atMs: 0, cost: 6, allowed: true, remaining: 0, resetAtMs: 60_000 },
      { atMs: 0, allowed: false, remaining: 0, retryAfterMs: 10_000, resetAtMs: 60_000 },
      { atMs: 9999, allowed: false, retryAfterMs: 1 },
      { atMs: 10_000, allowed: true, remaining: 0 },
      { atMs: 10_000, allowed: false, retryAfterMs: 10_000 },
      { atMs: 100_000, operation: "peek", allowed: true, remaining: 6, resetAtMs: 100_000 },
    ],
  },
  {
    name: "token-bucket: the burst bounds what is allowed at once, not the rate",
    limits: [{ ...BUCKET, burst: 2 }],
    requests: [
      { atMs: 0, cost: 2, allowed: true, remaining: 0 },
      { atMs: 5000, allowed: false, retryAfterMs: 5000 },
      { atMs: 20_000, cost: 2, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "token-bucket: thirds of a token add up without loss",
    limits: [{ algorithm: "token-bucket", limit: 1, windowMs: 3 }],
    requests: [
      { atMs: 0, allowed: true },
      { atMs: 1, allowed: false, retryAfterMs: 2 },
      { atMs: 2, allowed: false, retryAfterMs: 1 },
      { atMs: 3, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "token-bucket: a limit of 0 refuses all",
    limits: [{ ...BUCKET, limit: 0 }],
    requests: [{ atMs: 0, allowed: false, remaining: 0, retryAfterMs: 60_000 }],
  },
  {
    name: "fixed-window: 4 * 10^15 in 30 days",
    limits: [{ algorithm: "fixed-window", limit: 4e15, windowMs: MONTH_MS }],
    requests: [
      { atMs: 0, cost: 4e15 - 1, allowed: true, remaining: 1 },
      { atMs: 1, cost: 2, allowed: false, remaining: 1 },
      { atMs: 2, cost: 1, allowed: true, remaining: 0 },
      { atMs: MONTH_MS, cost: 4e15, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "sliding-window: 5 million in 30 days",
    limits: [{ algorithm: "sliding-window", limit: 5_000_000, windowMs: MONTH_MS }],
    requests: [
      { atMs: 0, cost: 5_000_000, allowed: true, remaining: 0 },
      { atMs: 1, allowed: false, remaining: 0 },
      { atMs: 2 * MONTH_MS, cost: 5_000_000, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "sliding-window: the largest limit of 30 days, in units of 1000 s",
    limits: [{ algorithm: "sliding-window", limit: 1_737_499_856_238, windowMs: MONTH_MS }],
    requests: [
      { atMs: 0, cost: 1_737_499_856_238, allowed: true, remaining: 0, resetAtMs: MONTH_END_MS },
      { atMs: MONTH_END_MS + 999_999, allowed: false, remaining: 0, retryAfterMs: 1 },
      // 1/2592 of it, rounded down.
      { atMs: MONTH_END_MS + 1_000_000, cost: 670_331_734, allowed: true, remaining: 0 },
      { atMs: MONTH_END_MS + 1_000_000, allowed: false, remaining: 0, retryAfterMs: 1_000_000 },
    ],
  },
  {
    name: "token-bucket: the largest limit of 30 days that is counted in milliseconds",
    limits: [{ algorithm: "token-bucket", limit: 1_737_499, windowMs: MONTH_MS }],
    requests: [
      { atMs: 0, cost: 1_737_499, allowed: true, remaining: 0, resetAtMs: MONTH_MS },
      // One every 1491.8 ms.
      { atMs: 0, allowed: false, retryAfterMs: 1492 },
      { atMs: 1492, allowed: true, remaining: 0 },
      { atMs: 1492, allowed: false, retryAfterMs: 1492 },
      { atMs: 14_918, cost: 9, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "token-bucket: the smallest limit of 30 days that is counted in units of 10 ms",
    limits: [{ algorithm: "token-bucket", limit: 1_737_500, windowMs: MONTH_MS }],
    requests: [
      { atMs: 0, cost: 1_737_500, allowed: true, remaining: 0, resetAtMs: MONTH_MS },
      { atMs: 0, allowed: false, retryAfterMs: 1500 },
      { atMs: 1499, allowed: false, retryAfterMs: 1 },
      { atMs: 1500, allowed: true, remaining: 0 },
      { atMs: 14_920, cost: 9, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "token-bucket: the largest limit of 30 days, in units of 1000 s",
    limits: [{ algorithm: "token-bucket", limit: 1_737_499_856_238, windowMs: MONTH_MS }],
    requests: [
      { atMs: 0, cost: 1_737_499_856_238, allowed: true, remaining: 0 },
      // Units are aligned to the Unix epoch; the first one ends after 200 s.
      { atMs: 199_999, allowed: false, remaining: 0, retryAfterMs: 1 },
      { atMs: 200_000, cost: 670_331_734, allowed: true, remaining: 0 },
      { atMs: 200_000, operation: "refund", cost: 1 },
      { atMs: 200_000, cost: 2, allowed: false, remaining: 1, retryAfterMs: 1_000_000 },
      { atMs: MONTH_MS + 200_000, cost: 1_737_499_856_238, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "token-bucket: 5 million in 30 days, in units of 10 ms",
    limits: [{ algorithm: "token-bucket", limit: 5_000_000, windowMs: MONTH_MS }],
    requests: [
      { atMs: 0, cost: 5_000_000, allowed: true, remaining: 0, resetAtMs: MONTH_MS },
      // One every 518.4 ms.
      { atMs: 9, allowed: false, remaining: 0, retryAfterMs: 511 },
      { atMs: 519, allowed: false, retryAfterMs: 1 },
      { atMs: 520, allowed: true, remaining: 0 },
      { atMs: MONTH_MS + 520, cost: 5_000_000, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "several limits: all or none, and the longest wait",
    limits: [
      { algorithm: "fixed-window", limit: 2, windowMs: 10_000 },
      { algorithm: "fixed-window", limit: 3, windowMs: 60_000 },
    ],
    requests: [
      { atMs: 0, cost: 2, allowed: true, remaining: 0, resetAtMs: 10_000 },
      { atMs: 0, allowed: false, remaining: 0, retryAfterMs: 10_000 },
      { atMs: 10_000, allowed: true, remaining: 0, resetAtMs: 60_000 },
      { atMs: 10_000, cost: 2, allowed: false, remaining: 0, retryAfterMs: 50_000 },
      { atMs: 20_000, allowed: false, remaining: 0, retryAfterMs: 40_000 },
      { atMs: 60_000, cost: 2, allowed: true, remaining: 0 },
    ],
  },
  {
    name: "several limits: algorithms together",
    limits: [
      { algorithm: "token-bucket", limit: 60, windowMs: 60_000, burst: 2 },
      { algorithm: "sliding-window", limit: 5, windowMs: 60_000 },
    ],
    requests: [
      { atMs: 0, cost: 2, allowed: true, remaining: 0 },
      { atMs: 500, allowed: false, retryAfterMs: 500 },
      { atMs: 2000, cost: 2, allowed: true, remaining: 0 },
      { atMs: 4000, cost: 2, allowed: false, remaining: 1 },
      { atMs: 4000, cost: 1, allowed: true, remaining: 0 },
      { atMs: 4000, operation: "refund", cost: 2 },
      { atMs: 4000, cost: 2, allowed: true, remaining: 0 },
    ],
  },
];
