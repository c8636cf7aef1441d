import { Batcher } from "../redis/batcher";
import type { RedisConnection } from "../redis/connection";
import type { Keys } from "../redis/keys";
import { applySnapshot, beginFlushes, consumeQuotas } from "../redis/lua.generated";
import { runScript, runScriptForBuffer } from "../redis/script";
import type { Flush } from "./flush";
import { CALL_RECORD_TTL_MS, callName, type Quota, type QuotaCall, type QuotaSnapshot } from "./quota";
import { NO_DOCUMENT, NOT_KNOWN, parseStoredQuota, usedInAll, type StoredQuota } from "./stored-quota";

/**
 * What Redis knows of a provider: its quota; that it has no document, and what it used without one; or nothing that can
 * be relied on.
 */
export type QuotaEntry =
  | { readonly kind: "snapshot"; readonly quota: Quota }
  | { readonly kind: "tombstone"; readonly used: number }
  | { readonly kind: "miss" };

/** What Redis decides of a call; a miss must be read from Firestore first. */
export type ConsumeOutcome =
  | {
      readonly kind: "accepted" | "refused";
      readonly used: number;
      readonly limit: number;
      readonly found: boolean;
    }
  | { readonly kind: "miss" };

/**
 * What became of a snapshot: `applied`; `superseded`, as Redis knew as new a version; or `late`, too old to make an
 * entry where there is none.
 */
export type ApplyOutcome = "applied" | "superseded" | "late";

/** A provider whose usage Firestore lacks, and since when (Unix time, milliseconds). */
export interface DirtyProvider {
  readonly providerId: string;
  readonly sinceMs: number;
}

/** An entry as it is stored. */
export interface StoredEntry extends StoredQuota {
  /** How long it lives if nothing happens; undefined for ever. */
  readonly ttlMs: number | undefined;
  /** Since when it has usage that Firestore lacks (Unix time, milliseconds); undefined if it has none. */
  readonly dirtySinceMs: number | undefined;
}

/** A backfill that has read all documents there were; `endedAtMs` is Unix time. */
export interface BackfillRecord {
  readonly endedAtMs: number;
  readonly documents: number;
  readonly mirrored: number;
  readonly invalid: number;
}

/**
 * Part of a walk over all entries; `fromStart` and `toEnd` tell whether it has that much of the walk. One `cutShort` has
 * found fewer entries than asked for among many other keys.
 */
export interface QuotaSample {
  readonly entries: readonly { readonly providerId: string; readonly version: number }[];
  readonly fromStart: boolean;
  readonly toEnd: boolean;
  readonly cutShort: boolean;
}

export interface RedisQuotaStoreOptions {
  readonly ttlSeconds: number;
  /** Limit of a provider without a document; undefined if it has no quota. */
  readonly missingLimit: number | undefined;
}

/** So many reads or calls travel as one. */
const BATCH = 64;

/** So many calls concern most of the dirty indexes, so that all are named at once. */
const LARGE_BATCH = 16;

/** Part of the TTL that is random, so that entries written together do not expire, and miss, together. */
const TTL_JITTER = 0.1;

/**
 * Life of a tombstone: as long as one must live to keep old snapshots out, and no longer, as anyone may ask for
 * providers that do not exist.
 */
const MIN_TTL_SECONDS = 120;

/** Where quotas are few among many other keys, a sample is smaller rather than a long walk. */
const MAX_SCAN_STEPS = 50;

/** The place of the walk over all entries; lost, it begins anew. */
const SAMPLE_CURSOR_TTL_SECONDS = 24 * 60 * 60;

/** Provider quotas in Redis. Every method throws RedisUnavailableError when Redis gives no answer. */
export class RedisQuotaStore {
  private readonly reads = new Batcher<string, QuotaEntry>(
    (providerIds) => this.readMany(providerIds),
    BATCH,
  );
  private readonly calls = new Batcher<QuotaCall, ConsumeOutcome>((calls) => this.consumeMany(calls), BATCH);

  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    private readonly options: RedisQuotaStoreOptions,
  ) {}

  read(providerId: string): Promise<QuotaEntry> {
    return this.reads.ask(providerId);
  }

  /**
   * Decides a call and counts it if it is within the quota. With an idempotency key a repeated call has the answer of
   * the first that was accepted.
   */
  consume(call: QuotaCall): Promise<ConsumeOutcome> {
    return this.calls.ask(call);
  }

  /** Stores a snapshot, unless Redis knows as new a version. Safe to repeat, and in any order. */
  apply(providerId: string, { quota, ...snapshot }: QuotaSnapshot): Promise<ApplyOutcome> {
    return this.runApply(providerId, { ...snapshot, ...(quota ?? { used: 0, limit: NO_DOCUMENT }) });
  }

  /** Makes the next check read Firestore, and keeps anything older than `version` out. Safe to repeat, in any order. */
  invalidate(providerId: string, snapshot: Omit<QuotaSnapshot, "quota">): Promise<ApplyOutcome> {
    return this.runApply(providerId, { ...snapshot, used: 0, limit: NOT_KNOWN });
  }

  /** Begins to flush providers, or resumes what had begun; those with nothing to flush are left out. */
  async beginFlushes(providerIds: readonly string[]): Promise<Flush[]> {
    const reply = (await runScript(this.redis, beginFlushes, {
      keys: [
        ...providerIds.map((id) => this.keys.quota(id)),
        ...providerIds.map((id) => this.keys.dirty(id)),
      ],
      ttlMs: this.ttlMs(),
      providerIds,
    })) as number[];
    return providerIds.flatMap((providerId, i): Flush[] => {
      const fields = reply.slice(5 * i, 5 * i + 5) as [number, number, number, number, number];
      const [flushId, amount, version, used, limit] = fields;
      if (flushId === 0) return [];
      const base = limit === NOT_KNOWN ? "unknown" : limit === NO_DOCUMENT ? "none" : { used, limit };
      return [{ providerId, flushId, amount, version, base }];
    });
  }

  /** Providers of one dirty index that have been dirty since `untilMs` or earlier, the oldest first, from `offset` on. */
  async dirtyProviders(
    dirtyKey: string,
    { untilMs, offset, count }: { readonly untilMs: number; readonly offset: number; readonly count: number },
  ): Promise<DirtyProvider[]> {
    const reply = await this.redis.run((redis) =>
      redis.zrange(dirtyKey, "-inf", String(untilMs), "BYSCORE", "LIMIT", offset, count, "WITHSCORES"),
    );
    return Array.from({ length: reply.length / 2 }, (_, i) => ({
      providerId: String(reply[2 * i]),
      sinceMs: Number(reply[2 * i + 1]),
    }));
  }

  /**
   * About `count` next entries of a walk over all of them, with their versions; an invalidated one is left out, as it
   * is read from Firestore anyway. The walk goes on where the last sample of any instance ended.
   */
  async sample(count: number): Promise<QuotaSample> {
    const found: string[] = [];
    let cursor = (await this.redis.run((redis) => redis.get(this.keys.sampleCursor()))) ?? "0";
    const fromStart = cursor === "0";
    for (let step = 0; step < MAX_SCAN_STEPS && found.length < count; step++) {
      const [next, keys] = await this.redis.run((redis) =>
        redis.scan(cursor, "MATCH", this.keys.allQuotas(), "COUNT", count, "TYPE", "string"),
      );
      // What else the pattern matches has ":q:" in somebody's subject or idempotency key.
      found.push(...keys.filter((key) => this.keys.isQuota(key)));
      cursor = next;
      if (cursor === "0") break;
    }
    const resume = cursor;
    await this.redis.run((redis) =>
      redis.set(this.keys.sampleCursor(), resume, "EX", SAMPLE_CURSOR_TTL_SECONDS),
    );
    const stored = await this.readEntries(found);
    const entries = found.flatMap((key, i) => {
      const entry = stored[i];
      if (entry === undefined || entry.limit === NOT_KNOWN) return [];
      return [{ providerId: this.keys.providerOf(key), version: entry.version }];
    });
    const toEnd = resume === "0";
    return { entries, fromStart, toEnd, cutShort: !toEnd && found.length < count };
  }

  /** Remembers, as long as Redis keeps its data, that a backfill has ended. */
  async recordBackfill(record: BackfillRecord): Promise<void> {
    await this.redis.run((redis) => redis.set(this.keys.lastBackfill(), JSON.stringify(record)));
  }

  /** The last backfill of this data. */
  async lastBackfill(): Promise<BackfillRecord | undefined> {
    const record = await this.redis.run((redis) => redis.get(this.keys.lastBackfill()));
    return record === null ? undefined : (JSON.parse(record) as BackfillRecord);
  }

  /** Whether any provider has usage that Firestore lacks. */
  async hasDirtyProviders(): Promise<boolean> {
    return (await this.redis.run((redis) => redis.exists(...this.keys.allDirty()))) > 0;
  }

  /** How many providers have usage that Firestore lacks, and since when the first of them (Unix ms). */
  async dirty(): Promise<{ readonly providers: number; readonly oldestSinceMs?: number }> {
    const indexes = await Promise.all(
      this.keys.allDirty().map(async (key) => {
        const [count, oldest] = await Promise.all([
          this.redis.run((redis) => redis.zcard(key)),
          this.redis.run((redis) => redis.zrange(key, "0", "0", "WITHSCORES")),
        ]);
        return { count: Number(count), oldest: oldest.slice(1).map(Number) };
      }),
    );
    const providers = indexes.reduce((sum, { count }) => sum + count, 0);
    const since = indexes.flatMap(({ oldest }) => oldest);
    return since.length === 0 ? { providers } : { providers, oldestSinceMs: Math.min(...since) };
  }

  /** A provider's entry as it is stored. */
  async inspect(providerId: string): Promise<StoredEntry | undefined> {
    const key = this.keys.quota(providerId);
    const [[entry], ttlMs, since] = await Promise.all([
      this.readEntries([key]),
      this.redis.run((redis) => redis.pttl(key)),
      this.redis.run((redis) => redis.zscore(this.keys.dirty(providerId), providerId)),
    ]);
    if (entry === undefined) return undefined;
    return {
      ...entry,
      ttlMs: Number(ttlMs) < 0 ? undefined : Number(ttlMs),
      dirtySinceMs: since === null ? undefined : Number(since),
    };
  }

  /** The time on Redis's clock, Unix ms. */
  async nowMs(): Promise<number> {
    const [seconds, microseconds] = await this.redis.run((redis) => redis.time());
    return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
  }

  /** The keys of the dirty indexes. */
  dirtyKeys(): string[] {
    return this.keys.allDirty();
  }

  private async readMany(providerIds: readonly string[]): Promise<QuotaEntry[]> {
    const entries = await this.readEntries(providerIds.map((id) => this.keys.quota(id)));
    return entries.map((entry) => {
      if (entry === undefined || entry.limit === NOT_KNOWN) return { kind: "miss" };
      const used = usedInAll(entry);
      return entry.limit === NO_DOCUMENT
        ? { kind: "tombstone", used }
        : { kind: "snapshot", quota: { used, limit: entry.limit } };
    });
  }

  private async readEntries(keys: readonly string[]): Promise<(StoredQuota | undefined)[]> {
    if (keys.length === 0) return [];
    const entries = await this.redis.run((redis) => redis.mgetBuffer(...keys));
    return entries.map(parseStoredQuota);
  }

  private async consumeMany(calls: readonly QuotaCall[]): Promise<ConsumeOutcome[]> {
    const dirty =
      calls.length < LARGE_BATCH
        ? calls.map(({ providerId }) => this.keys.dirty(providerId))
        : this.keys.allDirty();
    const records: string[] = [];
    const recorded: number[] = [];
    for (const [i, call] of calls.entries()) {
      const name = callName(call);
      if (name === undefined) continue;
      records.push(this.keys.call(call.providerId, name));
      recorded.push(i + 1);
    }
    const reply = await runScriptForBuffer(this.redis, consumeQuotas, {
      missingLimit: this.options.missingLimit ?? -1,
      recordTtlMs: CALL_RECORD_TTL_MS,
      count: calls.length,
      calls: [...calls.map(({ cost }) => cost), ...recorded],
      keys: [...calls.map(({ providerId }) => this.keys.quota(providerId)), ...dirty, ...records],
    });
    return calls.map((_, i) => {
      const used = reply.readDoubleLE(16 * i);
      const limit = reply.readDoubleLE(16 * i + 8);
      if (limit === NOT_KNOWN) return { kind: "miss" };
      return {
        kind: used < 0 ? "refused" : "accepted",
        used: used < 0 ? -1 - used : used,
        limit: limit === NO_DOCUMENT ? (this.options.missingLimit ?? 0) : limit,
        found: limit !== NO_DOCUMENT,
      };
    });
  }

  private async runApply(
    providerId: string,
    snapshot: Omit<QuotaSnapshot, "quota"> & Quota,
  ): Promise<ApplyOutcome> {
    const entry = this.keys.quota(providerId);
    const dirty = this.keys.dirty(providerId);
    const ttlMs = this.ttlMs(snapshot.limit === NO_DOCUMENT ? MIN_TTL_SECONDS : this.options.ttlSeconds);
    const input = { entry, dirty, ttlMs, providerId, ...snapshot };
    return (await runScript(this.redis, applySnapshot, input)) as ApplyOutcome;
  }

  private ttlMs(seconds = this.options.ttlSeconds): number {
    return Math.round(seconds * 1000 * (1 - Math.random() * TTL_JITTER));
  }
}
