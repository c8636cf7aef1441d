import type { Policy } from "../../functions/src/rate-limit/policy.ts";

const perHour = (limit: number): Policy["limits"] => [
  { algorithm: "fixed-window", limit, windowMs: 3_600_000 },
];

/** The policies that the emulated extension of the tests is installed with, one for each `by`. */
const POLICIES: readonly Policy[] = [
  { name: "by-uid", by: "uid", onRedisFailure: "local", limits: perHour(5) },
  { name: "by-ip", by: "ip", onRedisFailure: "local", limits: perHour(1_000_000) },
  { name: "by-app", by: "app", onRedisFailure: "local", limits: perHour(5) },
  { name: "by-subject", by: "subject", onRedisFailure: "closed", limits: perHour(5) },
  { name: "global", by: "global", onRedisFailure: "open", limits: perHour(1_000_000) },
  { name: "blocked", by: "uid", onRedisFailure: "closed", limits: perHour(0) },
];

/** The params of the emulated extension, beyond those that say where Redis is. */
export const TEST_PARAMS = { RATE_LIMIT_POLICIES: JSON.stringify(POLICIES) };
