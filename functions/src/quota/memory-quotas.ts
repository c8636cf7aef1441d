import { withinTimeLimit } from "../firestore";
import type { MemoryServer } from "../memory-server";
import type { ApplyOutcome } from "../redis/apply-outcome";
import { UnknownCallError, type FirestoreDecision, type FirestoreQuotaStore } from "./firestore-quota-store";
import {
  CALL_RECORD_TTL_MS,
  callName,
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
import type { ConsumeOutcome, QuotaEntry, RedisQuotaStore } from "./redis-quota-store";

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

const TIMEOUT_MS = 10_000;

/**
 * The quotas of providers in memory, and the stores as which the service sees them. Redis is told of each change of a
 * document; no sync brings to Firestore what Redis has counted.
 */
export class MemoryQuotas {
  private readonly providers = new Map<string, Provider>();
  private readonly redisRecords: Records<ConsumeOutcome>;
  private readonly firestoreRecords: Records<FirestoreDecision | "unknown">;

  constructor(
    private readonly redis: MemoryServer,
    private readonly firestore: MemoryServer,
    private readonly options: MemoryQuotasOptions,
    now: () => number,
  ) {
    this.redisRecords = new Records(now);
    this.firestoreRecords = new Records(now);
  }

  readonly redisStore: Pick<RedisQuotaStore, "read" | "consume" | "apply" | "hasDirtyProviders"> = {
    read: (providerId) => this.redis.run(() => this.readEntry(this.provider(providerId))),
    consume: (call) => this.redis.run(() => this.consumeInRedis(call)),
    apply: (providerId) =>
      this.redis.run((): ApplyOutcome => {
        this.provider(providerId).isCached = true;
        return "applied";
      }),
    hasDirtyProviders: () =>
      this.redis.run(() => [...this.providers.values()].some(({ pending }) => pending !== 0)),
  };

  readonly firestoreStore: Pick<FirestoreQuotaStore, "read" | "consume" | "rememberUnknown"> = {
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
        if (this.firestoreRecords.get(call) === undefined) this.firestoreRecords.set(call, "unknown");
      }),
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
    const first = this.redisRecords.get(call);
    if (first) return first;
    const provider = this.provider(call.providerId);
    const entry = this.readEntry(provider);
    if (entry.kind === "miss") return entry;
    const found = entry.kind === "snapshot";
    const before = found ? entry.quota : { used: entry.used, limit: this.missingLimit };
    const { allowed, used } = decideConsumption(before, call.cost);
    provider.pending += used - before.used;
    const outcome = { kind: allowed ? "accepted" : "refused", used, limit: before.limit, found } as const;
    if (allowed) this.redisRecords.set(call, outcome);
    return outcome;
  }

  private consumeInFirestore(
    call: QuotaCall,
    write: (provider: Provider, used: number) => void,
  ): FirestoreDecision {
    const first = this.firestoreRecords.get(call);
    if (first === "unknown") throw new UnknownCallError("an earlier attempt had no answer from Redis");
    if (first) return first;
    const provider = this.provider(call.providerId);
    const quota = this.quota(provider);
    const before = quota ?? { used: 0, limit: this.missingLimit };
    const found = quota !== undefined;
    const { allowed, used } = decideConsumption(before, call.cost);
    const answer = { allowed, used, limit: before.limit, found };
    if (used !== before.used) {
      write(provider, used - before.used);
      this.firestoreRecords.set(call, answer);
    }
    return { ...answer, snapshot: this.snapshot(provider) };
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

/** What calls with an idempotency key were answered. */
class Records<T> {
  private readonly records = new Map<string, { readonly answer: T; readonly untilMs: number }>();

  constructor(private readonly now: () => number) {}

  get(call: QuotaCall): T | undefined {
    const record = this.records.get(keyOf(call));
    return record && record.untilMs > this.now() ? record.answer : undefined;
  }

  set(call: QuotaCall, answer: T): void {
    if (call.idempotencyKey === undefined) return;
    this.records.set(keyOf(call), { answer, untilMs: this.now() + CALL_RECORD_TTL_MS });
  }
}

function keyOf(call: QuotaCall): string {
  return JSON.stringify([call.providerId, callName(call)]);
}
