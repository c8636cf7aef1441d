import type { Decision } from "../../functions/dist/rate-limit/decision.js";
import type { PolicyInput } from "../../functions/dist/rate-limit/policy.js";

const TIGHT_LIMIT = 60;
const WIDE_LIMIT = 1_000_000_000;
const policy = (
  onRedisFailure: "local" | "open" | "closed",
  algorithm: "fixed-window" | "sliding-window" | "token-bucket",
  limit: number,
): PolicyInput => ({
  name: `${limit === TIGHT_LIMIT ? "tight" : "wide"}-${onRedisFailure}`,
  by: "subject",
  onRedisFailure,
  limits: [{ algorithm, limit, window: limit === TIGHT_LIMIT ? "366 d" : "1 m" }],
});

/** One policy for each way to go on without Redis, which refuse nobody; and one that soon does. */
export const POLICIES: readonly PolicyInput[] = [
  policy("local", "sliding-window", WIDE_LIMIT),
  policy("open", "fixed-window", WIDE_LIMIT),
  policy("closed", "token-bucket", WIDE_LIMIT),
  policy("local", "fixed-window", TIGHT_LIMIT),
];

/** What is known of the requests of one subject under one policy from the answers alone. */
export class RateLimitTally {
  readonly policy: PolicyInput;
  readonly subject: string;
  readonly #limit: number;
  #byRedis = 0;
  #underWay = 0;
  /** Answers without Redis, which may have counted the request all the same. */
  #withoutRedis = 0;
  readonly #byInstance = new Map<number, number>();
  readonly #redisForgets: boolean;

  /** @param redisForgets whether Redis may lose its counts, and count anew */
  constructor(policy: PolicyInput, subject: string, redisForgets: boolean) {
    this.policy = policy;
    this.subject = subject;
    this.#redisForgets = redisForgets;
    this.#limit = policy.limits[0]!.limit;
  }

  begin(): void {
    this.#underWay++;
  }

  /** What is wrong with an instance's decision of a request of cost 1. */
  decided(instance: number, { allowed, remaining, reason, source, limit }: Decision): string[] {
    this.#underWay--;
    const wrong: string[] = [];
    const { onRedisFailure, name } = this.policy;
    if (source !== "redis" && source !== onRedisFailure) wrong.push(`${name} was decided by ${source}`);
    if (limit !== this.#limit || remaining < 0 || remaining > limit)
      wrong.push(`${remaining} of ${limit} remain, it says; the limit is ${this.#limit}`);
    const expected = source === "open" || source === "closed" ? "redis-unavailable" : undefined;
    if (reason !== (expected ?? (allowed ? "within-limit" : "limit-reached")))
      wrong.push(`${allowed ? "allowed" : "refused"} by ${source} for the reason ${reason}`);
    if (allowed && source === "closed") wrong.push(`${name} allowed a request without Redis`);

    const local = this.#byInstance.get(instance) ?? 0;
    if (!allowed && reason === "limit-reached") {
      const most = source === "redis" ? this.#byRedis + this.#withoutRedis + this.#underWay : local;
      if (most < limit) wrong.push(`refused by ${source} though at most ${most} of ${limit} was counted`);
    }
    if (source !== "redis") this.#withoutRedis++;
    if (!allowed) return wrong;
    if (source === "redis" && ++this.#byRedis > limit && !this.#redisForgets)
      wrong.push(`the ${this.#byRedis}th of ${limit} was allowed`);
    if (source === "local") {
      this.#byInstance.set(instance, local + 1);
      if (local >= limit) wrong.push(`an instance allowed ${local + 1} of ${limit} by itself`);
    }
    return wrong;
  }
}
