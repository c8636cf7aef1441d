import type { Logs } from "../observability/logs";
import { RedisUnavailableError } from "../redis/connection";
import { FirestoreUnavailableError, type FirestoreQuotaStore } from "./firestore-quota-store";
import { assessQuota, parseProviderId, type QuotaSnapshot, type QuotaStatus } from "./quota";
import type { QuotaEntry, RedisQuotaStore } from "./redis-quota-store";

/** A status and who answered it. */
export interface QuotaCheck extends QuotaStatus {
  readonly source: "redis" | "firestore";
}

export interface QuotaServiceOptions {
  readonly missingProvider: "default-limit" | "deny";
  readonly defaultLimit: number;
}

/** Answers quota checks from Redis; what Redis does not hold it reads from Firestore and leaves there. */
export class QuotaService {
  /** Loads under way: any number of callers that miss the same provider share one Firestore read. */
  private readonly loads = new Map<string, Promise<QuotaSnapshot>>();

  constructor(
    private readonly redisStore: RedisQuotaStore,
    private readonly firestoreStore: FirestoreQuotaStore,
    private readonly options: QuotaServiceOptions,
    private readonly logs: Logs,
  ) {}

  /**
   * Tells whether a provider has quota left. When Redis gives no answer, Firestore does.
   *
   * @throws InvalidProviderIdError
   * @throws FirestoreUnavailableError when Redis does not hold the quota and Firestore gives no answer either.
   * @throws InvalidQuotaDocumentError when the document must be read and holds no valid quota.
   */
  async check(providerId: string): Promise<QuotaCheck> {
    parseProviderId(providerId);
    const entry = await this.readCached(providerId);
    if (entry === "unavailable" || entry.kind === "miss") {
      const { quota } = await this.load(providerId, { fillCache: entry !== "unavailable" });
      return { ...assessQuota(quota, this.options), source: "firestore" };
    }
    const quota = entry.kind === "snapshot" ? entry.quota : undefined;
    return { ...assessQuota(quota, this.options), source: "redis" };
  }

  private async readCached(providerId: string): Promise<QuotaEntry | "unavailable"> {
    return this.orBypass(providerId, () => this.redisStore.read(providerId));
  }

  private load(providerId: string, { fillCache }: { readonly fillCache: boolean }): Promise<QuotaSnapshot> {
    const underWay = this.loads.get(providerId);
    if (underWay) return underWay;
    const load = this.readThrough(providerId, { fillCache }).finally(() => this.loads.delete(providerId));
    this.loads.set(providerId, load);
    return load;
  }

  private async readThrough(
    providerId: string,
    { fillCache }: { fillCache: boolean },
  ): Promise<QuotaSnapshot> {
    try {
      const snapshot = await this.firestoreStore.read(providerId);
      if (fillCache) await this.fill(providerId, snapshot);
      return snapshot;
    } catch (error) {
      if (error instanceof FirestoreUnavailableError) this.logs.firestoreUnavailable(error);
      throw error;
    }
  }

  private async fill(providerId: string, snapshot: QuotaSnapshot): Promise<void> {
    const outcome = await this.orBypass(providerId, () => this.redisStore.apply(providerId, snapshot));
    if (outcome === "late") this.logs.redisClockAhead(providerId);
  }

  private async orBypass<T>(providerId: string, useRedis: () => Promise<T>): Promise<T | "unavailable"> {
    try {
      return await useRedis();
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      this.logs.quotaCacheBypassed(providerId, error);
      return "unavailable";
    }
  }
}
