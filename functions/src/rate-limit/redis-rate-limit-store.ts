import type { RedisConnection } from "../redis/connection";
import type { Keys } from "../redis/keys";
import { takeFixedWindow } from "../redis/lua.generated";
import { runScript } from "../redis/script";
import type { Policy } from "./policy";
import type { RateLimitStore, TakeOutcome, TakeRequest } from "./rate-limit-store";

/** Counts in Redis, shared by all instances, on Redis's own clock. Throws RedisUnavailableError. */
export class RedisRateLimitStore implements RateLimitStore {
  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
  ) {}

  async take(policy: Policy, { subject, cost, peek }: TakeRequest): Promise<TakeOutcome> {
    const reply = (await runScript(this.redis, takeFixedWindow, {
      counters: policy.limits.map(({ windowMs }) => this.keys.rateLimit(policy.name, windowMs, subject)),
      cost,
      charge: peek ? 0 : 1,
      limits: policy.limits.flatMap(({ limit, windowMs }) => [limit, windowMs]),
    })) as number[];
    const [allowed, nowMs, ...windows] = reply as [number, number, ...number[]];
    return {
      allowed: allowed === 1,
      nowMs,
      windows: policy.limits.map((_, i) => ({
        count: windows[2 * i]!,
        endsAtMs: nowMs + windows[2 * i + 1]!,
      })),
    };
  }
}
