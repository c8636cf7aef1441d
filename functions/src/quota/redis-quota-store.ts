import type { RedisConnection } from "../redis/connection";
import type { Keys } from "../redis/keys";
import { applySnapshot } from "../redis/lua.generated";
import { runScript } from "../redis/script";
import type { Quota, QuotaSnapshot } from "./quota";

/** What Redis knows of a provider: its quota, that it has no document, or nothing that can be relied on. */
export type QuotaEntry =
  | { readonly kind: "snapshot"; readonly quota: Quota }
  | { readonly kind: "tombstone" }
  | { readonly kind: "miss" };

/**
 * What became of a snapshot: `applied`; `superseded`, as Redis knew as new a version; or `late`, too old to make an
 * entry where there is none.
 */
export type ApplyOutcome = "applied" | "superseded" | "late";

/** Part of the TTL that is random, so that entries written together do not expire, and miss, together. */
const TTL_JITTER = 0.1;

/** Provider quotas in Redis. Every method throws RedisUnavailableError when Redis gives no answer. */
export class RedisQuotaStore {
  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    private readonly ttlSeconds: number,
  ) {}

  async read(providerId: string): Promise<QuotaEntry> {
    const [used, limit, version, invalidated] = await this.redis.run((redis) =>
      redis.hmget(this.keys.quota(providerId), "u", "l", "v", "x"),
    );
    if (typeof used === "string" && typeof limit === "string") {
      return { kind: "snapshot", quota: { used: Number(used), limit: Number(limit) } };
    }
    return typeof version === "string" && invalidated === null ? { kind: "tombstone" } : { kind: "miss" };
  }

  /** Stores a snapshot, unless Redis knows as new a version. Safe to repeat, and in any order. */
  apply(providerId: string, { quota, version, asOfMs }: QuotaSnapshot): Promise<ApplyOutcome> {
    const kind = quota === undefined ? "tombstone" : "snapshot";
    return this.runApply(providerId, {
      kind,
      version,
      asOfMs,
      used: quota?.used ?? 0,
      limit: quota?.limit ?? 0,
    });
  }

  /** Makes the next check read Firestore, and keeps anything older than `version` out. Safe to repeat, in any order. */
  invalidate(providerId: string, { version, asOfMs }: Omit<QuotaSnapshot, "quota">): Promise<ApplyOutcome> {
    return this.runApply(providerId, { kind: "invalidation", version, asOfMs, used: 0, limit: 0 });
  }

  private async runApply(
    providerId: string,
    change: {
      readonly kind: "snapshot" | "tombstone" | "invalidation";
      readonly version: number;
      readonly asOfMs: number;
      readonly used: number;
      readonly limit: number;
    },
  ): Promise<ApplyOutcome> {
    const ttlMs = Math.round(this.ttlSeconds * 1000 * (1 - Math.random() * TTL_JITTER));
    const entry = this.keys.quota(providerId);
    return (await runScript(this.redis, applySnapshot, { entry, ttlMs, ...change })) as ApplyOutcome;
  }
}
