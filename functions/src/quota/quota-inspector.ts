import { InvalidQuotaDocumentError, type QuotaSnapshot } from "./quota";
import type { FirestoreQuotaStore, SampledDocument } from "./firestore-quota-store";
import type { RedisQuotaStore, StoredEntry } from "./redis-quota-store";

/** What both stores hold of one provider. */
export interface QuotaInspection {
  /** Undefined if Redis holds nothing. */
  readonly redis: StoredEntry | undefined;
  /** What Firestore holds, or what is wrong with it. */
  readonly firestore: QuotaSnapshot | { readonly problem: string };
}

/** Shows what is stored, and changes nothing. */
export class QuotaInspector {
  constructor(
    private readonly redisStore: RedisQuotaStore,
    private readonly firestoreStore: FirestoreQuotaStore,
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
}
