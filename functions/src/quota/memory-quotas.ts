import { withinTimeLimit } from "../firestore";
import type { MemoryServer } from "../memory-server";
import type { ApplyOutcome } from "../redis/apply-outcome";
import {
  assessKey,
  CALL_RECORD_TTL_MS,
  callName,
  refundedName,
  type CallRecord,
  type CallRecords,
} from "./call-records";
import { UnknownCallError, type FirestoreDecision, type FirestoreQuotaStore } from "./firestore-quota-store";
import {
  decideConsumption,
  InvalidQuotaDocumentError,
  missingLimit,
  parseProviderId,
  parseQuota,
  type MissingProvider,
  type Quota,
  type QuotaCall,
  type QuotaFields,
  type QuotaSnapshot,
} from "./quota";
import type { ConsumeOutcome } from "./consume-calls";
import type { QuotaEntry, RedisQuotaStore } from "./redis-quota-store";

/** A provider document as an app writes it. */
export type ProviderDocument = Readonly<Record<string, unknown>>;

export interface MemoryQuotasOptions extends QuotaFields, MissingProvider {
  readonly collectionPath: string;
}

interface Provider {
  document: ProviderDocument | undefined;
  /** What Firestore has counted since the document was set. */
  counted: number;
  /** What Redis has counted and Firestore lacks; negative where refunds prevail. */
  pending: number;
  /** Whether Redis has an entry, be it that there is no document. */
  isCached: boolean;
}

interface WithRecords {
  readonly records: CallRecords;
}

const TIMEOUT_MS = 10_000;

/**
 * The quotas of providers in memory, and the stores as which the service sees them. Redis is told of each change of a
 * document; no sync brings to Firestore what Redis has counted.
 */
export class MemoryQuotas {
  private readonly providers = new Map<string, Provider>();
  private readonly redisRecords: Records;
  private readonly firestoreRecords: Records;

  constructor(
    private readonly redis: MemoryServer,
    private readonly firestore: MemoryServer,
    private readonly options: MemoryQuotasOptions,
    now: () => number,
  ) {
    this.redisRecords = new Records(now);
    this.firestoreRecords = new Records(now);
  }

  readonly redisStore: Pick<RedisQuotaStore, "read" | "consume" | "apply" | "forget" | "hasDirtyProviders"> &
    WithRecords = {
    read: (providerId) => this.redis.run(() => this.readEntry(this.provider(providerId))),
    consume: (call) => this.redis.run(() => this.consumeInRedis(call)),
    apply: (providerId) =>
      this.redis.run((): ApplyOutcome => {
        this.provider(providerId).isCached = true;
        return "applied";
      }),
    forget: (providerId) =>
      this.redis.run(() => {
        this.provider(providerId).isCached = false;
        return true;
      }),
    hasDirtyProviders: () =>
      this.redis.run(() => [...this.providers.values()].some(({ pending }) => pending !== 0)),
    records: {
      claim: (...name) => this.redis.run(() => this.redisRecords.claim(...name)),
    },
  };

  readonly firestoreStore: Pick<FirestoreQuotaStore, "read" | "consume" | "rememberUnknown"> & WithRecords = {
    read: (providerId) => this.inFirestore(providerId, () => this.snapshot(this.provider(providerId))),
    consume: (call) => {
      let isWritten = false;
      const write = (provider: Provider, used: number) => {
        isWritten = true;
        this.count(provider, used);
      };
      const decide = () => this.consumeInFirestore(call, write);
      return this.inFirestore(call.providerId, decide, () => isWritten);
    },
    rememberUnknown: (call) =>
      this.inFirestore(call.providerId, () => {
        const name = callName(call);
        if (name !== undefined) this.firestoreRecords.markUnknown(call, name);
      }),
    records: {
      claim: (...name) => this.inFirestore(name[0], () => this.firestoreRecords.claim(...name)),
    },
  };

  /** Sets a provider's document, or deletes it; used and limit are from then on what it says. */
  setProvider(providerId: string, document: ProviderDocument | undefined): void {
    parseProviderId(providerId);
    this.providers.set(providerId, { document, counted: 0, pending: 0, isCached: true });
  }

  private provider(providerId: string): Provider {
    const known = this.providers.get(providerId);
    if (known) return known;
    const provider = { document: undefined, counted: 0, pending: 0, isCached: false };
    this.providers.set(providerId, provider);
    return provider;
  }

  private quota({ document, counted }: Provider): Quota | undefined {
    if (document === undefined) return undefined;
    const { used, limit } = parseQuota(document, this.options);
    return { used: used + counted, limit };
  }

  private readEntry(provider: Provider): QuotaEntry {
    const miss = { kind: "miss", hasUnsynced: provider.pending !== 0 } as const;
    if (!provider.isCached) return miss;
    try {
      const quota = this.quota(provider);
      const used = Math.max(0, (quota?.used ?? 0) + provider.pending);
      return quota ? { kind: "snapshot", quota: { ...quota, used } } : { kind: "tombstone", used };
    } catch (error) {
      if (error instanceof InvalidQuotaDocumentError) return miss;
      throw error;
    }
  }

  private consumeInRedis(call: QuotaCall): ConsumeOutcome {
    const records = this.redisRecords;
    const assessed = records.assess(call);
    if (typeof assessed === "object") {
      const { used, limit, found } = assessed;
      return { kind: "accepted", used, limit, found, replayed: true };
    }
    const provider = this.provider(call.providerId);
    const entry = this.readEntry(provider);
    if (entry.kind === "miss") return entry;
    const found = entry.kind === "snapshot";
    const before = found ? entry.quota : { used: entry.used, limit: this.missingLimit };
    const { allowed, used } = decide(assessed, before, call);
    provider.pending += used - before.used;
    const answer = { used, limit: before.limit, found };
    if (allowed) records.keep(call, answer);
    return { kind: allowed ? "accepted" : "refused", ...answer, replayed: false };
  }

  private consumeInFirestore(
    call: QuotaCall,
    write: (provider: Provider, used: number) => void,
  ): FirestoreDecision {
    const records = this.firestoreRecords;
    const assessed = records.assess(call);
    if (typeof assessed === "object") {
      if (assessed.isUnknown) throw new UnknownCallError("an earlier attempt had no answer from Redis");
      const { used, limit, found } = assessed;
      return { allowed: true, used, limit, found, replayed: true };
    }
    const provider = this.provider(call.providerId);
    const quota = this.quota(provider);
    const before = quota ?? { used: 0, limit: this.missingLimit };
    const found = quota !== undefined;
    const { allowed, used } = decide(assessed, before, call);
    const answer = { used, limit: before.limit, found };
    if (used !== before.used) write(provider, used - before.used);
    if (allowed) records.keep(call, answer);
    return { allowed, ...answer, replayed: false, snapshot: this.snapshot(provider) };
  }

  /** Counts in the document, of which Redis is told. */
  private count(provider: Provider, used: number): void {
    provider.document ??= {};
    provider.counted += used;
    provider.isCached = true;
    provider.pending = Math.max(provider.pending, -this.quota(provider)!.used);
  }

  private snapshot(provider: Provider): QuotaSnapshot {
    return { quota: this.quota(provider), version: 0, asOfMs: 0, marker: 0, created: 0 };
  }

  private get missingLimit(): number {
    return missingLimit(this.options) ?? 0;
  }

  private inFirestore<T>(providerId: string, use: () => T, mayBeWritten?: () => boolean): Promise<T> {
    const path = `${this.options.collectionPath}/${providerId}`;
    return withinTimeLimit(path, TIMEOUT_MS, () => this.firestore.run(use), mayBeWritten);
  }
}

function decide(
  assessed: "reject" | "decide",
  before: Quota,
  { cost }: QuotaCall,
): { readonly allowed: boolean; readonly used: number } {
  return assessed === "reject" ? { allowed: false, used: before.used } : decideConsumption(before, cost);
}

interface MemoryRecord extends CallRecord {
  /** Whether only Redis can tell whether the call was counted. */
  readonly isUnknown?: boolean;
}

/** What a store keeps of calls with an idempotency key. */
class Records {
  private readonly records = new Map<string, { readonly record: MemoryRecord; readonly untilMs: number }>();

  constructor(private readonly now: () => number) {}

  /** The record of the first such call, or what {@link assessKey} says. */
  assess(call: QuotaCall): MemoryRecord | "reject" | "decide" {
    const first = this.get(call.providerId, callName(call));
    const consumption = this.find(call.providerId, refundedName(call));
    const assessed = assessKey(call, first, consumption);
    return assessed === "replay" ? first! : assessed;
  }

  keep(call: QuotaCall, answer: Omit<CallRecord, "cost">): void {
    const name = callName(call);
    if (name !== undefined) this.save(call.providerId, name, { ...answer, cost: call.cost });
  }

  markUnknown({ providerId, cost }: QuotaCall, name: string): void {
    if (this.get(providerId, name)) return;
    this.save(providerId, name, { cost, used: 0, limit: 0, found: false, isUnknown: true });
  }

  find(providerId: string, name: string | undefined): CallRecord | undefined {
    const record = this.get(providerId, name);
    return record?.isUnknown ? undefined : record;
  }

  save(providerId: string, name: string, record: MemoryRecord): void {
    this.records.set(keyOf(providerId, name), { record, untilMs: this.now() + CALL_RECORD_TTL_MS });
  }

  claim(providerId: string, name: string): boolean {
    if (this.get(providerId, name)) return false;
    this.save(providerId, name, { cost: 0, used: 0, limit: 0, found: false });
    return true;
  }

  private get(providerId: string, name: string | undefined): MemoryRecord | undefined {
    if (name === undefined) return undefined;
    const kept = this.records.get(keyOf(providerId, name));
    return kept && kept.untilMs > this.now() ? kept.record : undefined;
  }
}

function keyOf(providerId: string, name: string): string {
  return JSON.stringify([providerId, name]);
}
