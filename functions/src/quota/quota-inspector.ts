import { InvalidQuotaDocumentError, type QuotaSnapshot } from "./quota";
import type { FirestoreProbe } from "./firestore-probe";
import type { FirestoreQuotaStore, SampledDocument } from "./firestore-quota-store";
import type { BackfillRecord, RedisQuotaStore, StoredEntry } from "./redis-quota-store";

/** What both stores hold of one provider. */
export interface QuotaInspection {
  /** Undefined if Redis holds nothing. */
  readonly redis: StoredEntry | undefined;
  /** What Firestore holds, or what is wrong with it. */
  readonly firestore: QuotaSnapshot | { readonly problem: string };
}

/** Time between two looks for a change that is on its way. */
const POLL_MS = 50;

/** Shows what is stored, and changes none of it but what it says. */
export class QuotaInspector {
  constructor(
    private readonly redisStore: RedisQuotaStore,
    private readonly firestoreStore: FirestoreQuotaStore,
    private readonly firestoreProbe: FirestoreProbe,
  ) {}

  /**
   * One provider as each store holds it: one billed read.
   *
   * @throws RedisUnavailableError, FirestoreUnavailableError
   */
  async inspect(providerId: string): Promise<QuotaInspection> {
    const redis = await this.redisStore.inspect(providerId);
    try {
      return { redis, firestore: await this.firestoreStore.read(providerId) };
    } catch (error) {
      if (!(error instanceof InvalidQuotaDocumentError)) throw error;
      return { redis, firestore: { problem: error.message } };
    }
  }

  /**
   * Some documents of the collection, each a billed read.
   *
   * @throws FirestoreUnavailableError
   */
  sampleDocuments(count: number): Promise<SampledDocument[]> {
    return this.firestoreStore.sample(count);
  }

  /**
   * The last backfill into this Redis, if it has kept its data since.
   *
   * @throws RedisUnavailableError
   */
  lastBackfill(): Promise<BackfillRecord | undefined> {
    return this.redisStore.lastBackfill();
  }

  /**
   * Whether these credentials may write provider documents; nothing is written.
   *
   * @throws FirestoreUnavailableError
   */
  mayWrite(): Promise<boolean> {
    return this.firestoreProbe.mayWrite();
  }

  /**
   * How long a change of a provider's document takes to reach Redis, in milliseconds, which needs the deployed
   * `mirrorQuota`; undefined if it has not within the time limit. Writes `_quotaSync.probedAt` there: one billed write.
   *
   * @throws RedisUnavailableError, FirestoreUnavailableError
   */
  async probeMirror(providerId: string, timeoutMs: number): Promise<number | undefined> {
    const version = await this.firestoreProbe.touch(providerId);
    const startedMs = performance.now();
    for (;;) {
      const entry = await this.redisStore.inspect(providerId);
      const elapsedMs = performance.now() - startedMs;
      if (entry !== undefined && entry.version >= version) return elapsedMs;
      if (elapsedMs > timeoutMs) return undefined;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
