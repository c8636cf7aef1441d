import { FirestoreUnavailableError } from "../firestore";
import {
  assessQuota,
  callName,
  decideConsumption,
  missingLimit,
  parseCost,
  parseIdempotencyKey,
  parseProviderId,
  parseQuota,
  toStatus,
  type MissingProvider,
  type QuotaFields,
  type QuotaStatus,
} from "./quota";
import type { ConsumeOptions, QuotaCheck, QuotaConsumption, QuotaSource } from "./quota-service";

/** A provider document as an app writes it. */
export type ProviderDocument = Readonly<Record<string, unknown>>;

/** What the quotas of a provider do, in memory: for tests of an app's code without Redis and Firestore. */
export class MemoryQuotas {
  /** Who answers; undefined if nobody does. */
  source: QuotaSource | undefined = "redis";

  private readonly documents = new Map<string, ProviderDocument>();
  /** What has been used since the document was set. */
  private readonly usage = new Map<string, number>();
  private readonly answers = new Map<string, QuotaStatus>();

  constructor(private readonly options: QuotaFields & MissingProvider) {}

  /** Sets a provider's document, or deletes it; used and limit are from then on what it says. */
  setProvider(providerId: string, document: ProviderDocument | undefined): void {
    parseProviderId(providerId);
    if (document) this.documents.set(providerId, document);
    else this.documents.delete(providerId);
    this.usage.delete(providerId);
  }

  async check(providerId: string): Promise<QuotaCheck> {
    parseProviderId(providerId);
    const source = this.requireSource(providerId);
    const quota = this.quotaOf(providerId);
    return { ...assessQuota(quota, this.options, this.usage.get(providerId)), source };
  }

  async consume(
    providerId: string,
    { cost = 1, idempotencyKey }: ConsumeOptions = {},
  ): Promise<QuotaConsumption> {
    return this.decide(providerId, parseCost(cost), idempotencyKey);
  }

  async refund(
    providerId: string,
    { cost = 1, idempotencyKey }: ConsumeOptions = {},
  ): Promise<QuotaConsumption> {
    return this.decide(providerId, -parseCost(cost), idempotencyKey);
  }

  private decide(providerId: string, cost: number, idempotencyKey: string | undefined): QuotaConsumption {
    parseProviderId(providerId);
    if (idempotencyKey !== undefined) parseIdempotencyKey(idempotencyKey);
    const source = this.requireSource(providerId);
    const name = callName({ providerId, cost, idempotencyKey });
    const record = name === undefined ? undefined : JSON.stringify([providerId, name]);
    const first = record === undefined ? undefined : this.answers.get(record);
    if (first) return { allowed: true, ...first, source };

    const found = this.documents.has(providerId);
    const before = this.quotaOf(providerId) ?? {
      used: this.usage.get(providerId) ?? 0,
      limit: missingLimit(this.options) ?? 0,
    };
    const { allowed, used } = decideConsumption(before, cost);
    this.usage.set(providerId, (this.usage.get(providerId) ?? 0) + used - before.used);
    const status = toStatus({ used, limit: before.limit }, found);
    if (allowed && record !== undefined) this.answers.set(record, status);
    return { allowed, ...status, source };
  }

  private quotaOf(providerId: string) {
    const document = this.documents.get(providerId);
    if (document === undefined) return undefined;
    const { used, limit } = parseQuota(document, this.options);
    return { used: used + (this.usage.get(providerId) ?? 0), limit };
  }

  private requireSource(providerId: string): QuotaSource {
    if (this.source !== undefined) return this.source;
    throw new FirestoreUnavailableError(providerId, "not-executed", new Error("the test says so"));
  }
}
