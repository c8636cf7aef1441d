import { asApplyOutcome, type ApplyOutcome } from "../redis/apply-outcome";
import { anyExists } from "../redis/any-exists";
import { Batcher } from "../redis/batcher";
import type { Keys } from "../redis/keys";
import { applySnapshot, beginFlushes, forgetQuota } from "../redis/lua.generated";
import type { RedisServers } from "../redis/redis-servers";
import { asList, asNumber, asNumberOrNull, asOneOf, asText, asTextOrNull, asValues } from "../redis/reply";
import { runScript } from "../redis/script";
import { consumeCalls, type ConsumeOutcome } from "./consume-calls";
import type { Flush } from "./flush";
import type { Quota, QuotaCall, QuotaSnapshot } from "./quota";
import { RedisCallRecords } from "./redis-call-records";
import {
  hasUnsynced,
  NO_DOCUMENT,
  NOT_KNOWN,
  parseStoredQuota,
  usedInAll,
  type StoredQuota,
} from "./stored-quota";

/**
 * What Redis knows of a provider: its quota; that it has no document, and what it used without one; or nothing that can
 * be relied on, `hasUnsynced` if there is usage that Firestore does not have yet.
 */
export type QuotaEntry =
  | { readonly kind: "snapshot"; readonly quota: Quota }
  | { readonly kind: "tombstone"; readonly used: number }
  | { readonly kind: "miss"; readonly hasUnsynced: boolean };

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

/** An entry met by chance, and whether it has usage of which its index, by which a sync finds it, does not know. */
export interface SampledEntry {
  readonly providerId: string;
  readonly version: number;
  readonly isStranded: boolean;
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
  readonly entries: readonly SampledEntry[];
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
  /** The calls that had an idempotency key. */
  readonly records: RedisCallRecords;

  private async isStranded(providerId: string, entry: StoredQuota | undefined): Promise<boolean> {
    if (entry === undefined || !hasUnsynced(entry)) return false;
    return (await this.dirtySince(providerId)) === null;
  }

  private readonly reads: Batcher<string, QuotaEntry>;
  private readonly entries: Batcher<string, StoredQuota | undefined>;
  private readonly calls: Batcher<QuotaCall, ConsumeOutcome>;
  private readonly flushes: Batcher<string, Flush | undefined>;

  constructor(
    private readonly redis: RedisServers,
    private readonly keys: Keys,
    private readonly options: RedisQuotaStoreOptions,
  ) {
    this.records = new RedisCallRecords(redis, keys);
    const bucketOf = redis.isCluster ? (providerId: string) => keys.bucketOf(providerId) : undefined;
    const bucketOfCall = bucketOf && (({ providerId }: QuotaCall) => bucketOf(providerId));
    this.reads = new Batcher(
      async (providerIds) => (await this.readEntries(providerIds)).map(toQuotaEntry),
      BATCH,
      bucketOf,
    );
    this.entries = new Batcher((providerIds) => this.readEntries(providerIds), BATCH, bucketOf);
    this.calls = new Batcher(
      (calls) => consumeCalls(redis, keys, { missingLimit: options.missingLimit, calls }),
      BATCH,
      bucketOfCall,
    );
    this.flushes = new Batcher((providerIds) => this.beginMany(providerIds), BATCH, bucketOf);
  }

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

  /** Makes the next check read Firestore. Returns false for usage without a document, which must be flushed instead. */
  async forget(providerId: string): Promise<boolean> {
    const input = { entry: this.keys.quota(providerId) };
    return runScript(this.redis, forgetQuota, input, (reply) => asOneOf([0, 1], reply) === 1);
  }

  /** Begins to flush providers, or resumes what had begun; those with nothing to flush are left out. */
  async beginFlushes(providerIds: readonly string[]): Promise<Flush[]> {
    const flushes = await Promise.all(providerIds.map((providerId) => this.flushes.ask(providerId)));
    return flushes.filter((flush) => flush !== undefined);
  }

  /** Providers of one dirty index that have been dirty since `untilMs` or earlier, the oldest first, from `offset` on. */
  async dirtyProviders(
    dirtyKey: string,
    { untilMs, offset, count }: { readonly untilMs: number; readonly offset: number; readonly count: number },
  ): Promise<DirtyProvider[]> {
    return this.redis.runFor(dirtyKey, async (redis) => {
      const bounds = [dirtyKey, "-inf", String(untilMs)] as const;
      const reply = asList(await redis.zrange(...bounds, "BYSCORE", "LIMIT", offset, count, "WITHSCORES"));
      return Array.from({ length: reply.length / 2 }, (_, i) => ({
        providerId: asText(reply[2 * i]),
        sinceMs: asNumber(reply[2 * i + 1]),
      }));
    });
  }

  /**
   * About `count` next entries of a walk over all of them; an invalidated one is left out, unless it is stranded, as
   * it is read from Firestore anyway. The walk goes on where the last sample of any instance ended.
   */
  async sample(count: number): Promise<QuotaSample> {
    const masters = await this.redis.masters();
    const found: string[] = [];
    const key = this.keys.sampleCursor();
    // The cursor, and on a cluster the address of the master that it is of.
    const stored = await this.redis.runFor(key, (redis) => redis.get(key).then(asTextOrNull));
    let [cursor = "0", address = masters[0]!.address] = stored?.split(" ") ?? [];
    let at = masters.findIndex((master) => master.address === address);
    if (at < 0) [at, cursor] = [0, "0"];
    const fromStart = at === 0 && cursor === "0";
    for (let step = 0; step < MAX_SCAN_STEPS && found.length < count; step++) {
      const { next, keys } = await masters[at]!.run(async (redis) => {
        const pattern = this.keys.allQuotas();
        const reply = await redis.scan(cursor, "MATCH", pattern, "COUNT", count, "TYPE", "string");
        const [next, keys] = asList(reply, 2);
        return { next: asText(next), keys: asList(keys).map(asText) };
      });
      // What else the pattern matches has ":q:" in somebody's subject or idempotency key.
      for (const each of keys) if (this.keys.isQuota(each)) found.push(this.keys.providerOf(each));
      cursor = next;
      if (cursor === "0" && ++at === masters.length) break;
    }
    address = masters[at % masters.length]!.address;
    const resume = masters.length > 1 ? `${cursor} ${address}` : cursor;
    await this.redis.runFor(key, (redis) => redis.set(key, resume, "EX", SAMPLE_CURSOR_TTL_SECONDS));
    const known = await Promise.all(found.map((providerId) => this.entries.ask(providerId)));
    const stranded = await Promise.all(found.map((providerId, i) => this.isStranded(providerId, known[i])));
    const entries = found.flatMap((providerId, i): SampledEntry[] => {
      const entry = known[i];
      if (entry === undefined) return [];
      const isStranded = stranded[i]!;
      if (entry.limit === NOT_KNOWN && !isStranded) return [];
      return [{ providerId, version: entry.version, isStranded }];
    });
    const toEnd = at === masters.length;
    return { entries, fromStart, toEnd, cutShort: !toEnd && found.length < count };
  }

  /** Remembers, as long as Redis keeps its data, that a backfill has ended. */
  async recordBackfill(record: BackfillRecord): Promise<void> {
    const key = this.keys.lastBackfill();
    await this.redis.runFor(key, (redis) => redis.set(key, JSON.stringify(record)));
  }

  /** The last backfill of this data. */
  async lastBackfill(): Promise<BackfillRecord | undefined> {
    const key = this.keys.lastBackfill();
    return this.redis.runFor(key, async (redis) => {
      const record = asTextOrNull(await redis.get(key));
      return record === null ? undefined : (JSON.parse(record) as BackfillRecord);
    });
  }

  /** Whether any provider has usage that Firestore lacks. */
  hasDirtyProviders(): Promise<boolean> {
    return anyExists(this.redis, this.keys.allDirty());
  }

  /** How many providers have usage that Firestore lacks, and for how long the first of them has had it (milliseconds). */
  async dirty(): Promise<{ readonly providers: number; readonly oldestMs: number }> {
    const indexes = await Promise.all(
      this.keys.allDirty().map(async (key) => {
        const [nowMs, count, [, oldest]] = await Promise.all([
          this.nowMs(key),
          this.redis.runFor(key, (redis) => redis.zcard(key).then(asNumber)),
          this.redis.runFor(key, (redis) =>
            redis.zrange(key, "0", "0", "WITHSCORES").then((reply) => asList(reply)),
          ),
        ]);
        return { count, ageMs: oldest === undefined ? 0 : nowMs - asNumber(oldest) };
      }),
    );
    return {
      providers: indexes.reduce((sum, { count }) => sum + count, 0),
      oldestMs: Math.max(...indexes.map(({ ageMs }) => ageMs)),
    };
  }

  /** A provider's entry as it is stored. */
  async inspect(providerId: string): Promise<StoredEntry | undefined> {
    const key = this.keys.quota(providerId);
    const [entry, ttlMs, since] = await Promise.all([
      this.entries.ask(providerId),
      this.redis.runFor(key, (redis) => redis.pttl(key).then(asNumber)),
      this.dirtySince(providerId),
    ]);
    if (entry === undefined) return undefined;
    return {
      ...entry,
      ttlMs: ttlMs < 0 ? undefined : ttlMs,
      dirtySinceMs: since ?? undefined,
    };
  }

  /** The time on the clock of the server that has a key, Unix ms. */
  async nowMs(key: string): Promise<number> {
    return this.redis.runFor(key, async (redis) => {
      const [seconds, microseconds] = asList(await redis.time(), 2);
      return asNumber(seconds) * 1000 + Math.floor(asNumber(microseconds) / 1000);
    });
  }

  /** The keys of the dirty indexes. */
  dirtyKeys(): string[] {
    return this.keys.allDirty();
  }

  private async readEntries(providerIds: readonly string[]): Promise<(StoredQuota | undefined)[]> {
    const keys = providerIds.map((id) => this.keys.quota(id));
    const entries = await this.redis.runFor(keys[0]!, (redis) =>
      redis.mgetBuffer(...keys).then((reply) => asValues(reply, keys.length)),
    );
    return entries.map(parseStoredQuota);
  }

  private dirtySince(providerId: string): Promise<number | null> {
    const key = this.keys.dirty(providerId);
    return this.redis.runFor(key, (redis) => redis.zscore(key, providerId).then(asNumberOrNull));
  }

  private async beginMany(providerIds: readonly string[]): Promise<(Flush | undefined)[]> {
    const keys = [
      ...providerIds.map((id) => this.keys.quota(id)),
      ...providerIds.map((id) => this.keys.dirty(id)),
    ];
    const reply = await runScript(
      this.redis,
      beginFlushes,
      { keys, ttlMs: this.ttlMs(), providerIds },
      (numbers) => asList(numbers, 5 * providerIds.length).map(asNumber),
    );
    return providerIds.map((providerId, i): Flush | undefined => {
      const fields = reply.slice(5 * i) as [number, number, number, number, number];
      const [flushId, amount, version, used, limit] = fields;
      if (flushId === 0) return undefined;
      const base = limit === NOT_KNOWN ? "unknown" : limit === NO_DOCUMENT ? "none" : { used, limit };
      return { providerId, flushId, amount, version, base };
    });
  }

  private runApply(
    providerId: string,
    snapshot: Omit<QuotaSnapshot, "quota"> & Quota,
  ): Promise<ApplyOutcome> {
    const entry = this.keys.quota(providerId);
    const dirty = this.keys.dirty(providerId);
    const ttlMs = this.ttlMs(snapshot.limit === NO_DOCUMENT ? MIN_TTL_SECONDS : this.options.ttlSeconds);
    const input = { entry, dirty, ttlMs, providerId, ...snapshot };
    return runScript(this.redis, applySnapshot, input, asApplyOutcome);
  }

  private ttlMs(seconds = this.options.ttlSeconds): number {
    return Math.round(seconds * 1000 * (1 - Math.random() * TTL_JITTER));
  }
}

function toQuotaEntry(entry: StoredQuota | undefined): QuotaEntry {
  if (entry === undefined) return { kind: "miss", hasUnsynced: false };
  if (entry.limit === NOT_KNOWN) return { kind: "miss", hasUnsynced: hasUnsynced(entry) };
  const used = usedInAll(entry);
  return entry.limit === NO_DOCUMENT
    ? { kind: "tombstone", used }
    : { kind: "snapshot", quota: { used, limit: entry.limit } };
}
