import type { Logs } from "../observability/logs";
import type { Metrics } from "../observability/metrics";
import { untilRedisAnswers } from "../redis/retry";
import type { ApplyOutcome } from "../redis/apply-outcome";
import { InvalidQuotaDocumentError, parseMarker, parseQuota, type Quota, type QuotaFields } from "./quota";
import type { RedisQuotaStore } from "./redis-quota-store";

export type { ApplyOutcome };

/** A change of a provider document; `data` is what it holds after it, `undefined` if it was deleted. */
export interface ProviderChange {
  readonly providerId: string;
  readonly path: string;
  readonly data: Readonly<Record<string, unknown>> | undefined;
  /** Update time in microseconds since the epoch; of a deleted document, one above its last. */
  readonly version: number;
  /** Version at which the document was made; 0 if it was deleted. */
  readonly created: number;
  /** When the change was committed, Unix time in milliseconds. */
  readonly asOfMs: number;
}

export interface QuotaMirrorOptions extends QuotaFields {
  readonly onChange: "update" | "invalidate";
}

/** Keeps Redis in step with the provider documents. */
export class QuotaMirror {
  constructor(
    private readonly store: RedisQuotaStore,
    private readonly options: QuotaMirrorOptions,
    private readonly logs: Logs,
    private readonly metrics: Pick<Metrics, "mirrored">,
  ) {}

  /**
   * Applies one change to Redis by its version, so that repeated, late and reordered events do no harm. Of a document
   * without a valid quota only the entry's invalidation remains: a check then reads the document and names the field.
   *
   * @throws RedisUnavailableError when Redis gives no answer for about 20 s.
   */
  async mirror(change: ProviderChange): Promise<ApplyOutcome> {
    const { providerId, version, asOfMs, created, data } = change;
    const marker = parseMarker(data);
    const quota = this.parse(change);
    const invalidate = quota === "invalid" || (quota !== undefined && this.options.onChange === "invalidate");
    const outcome = await untilRedisAnswers.execute(() =>
      invalidate
        ? this.store.invalidate(providerId, { version, asOfMs, marker, created })
        : this.store.apply(providerId, { quota, version, asOfMs, marker, created }),
    );
    const lagMs = Date.now() - asOfMs;
    this.logs.quotaMirrored(providerId, outcome, lagMs);
    this.metrics.mirrored(lagMs);
    return outcome;
  }

  private parse({ data, path }: ProviderChange): Quota | undefined | "invalid" {
    try {
      return data && parseQuota(data, this.options);
    } catch (error) {
      if (!(error instanceof InvalidQuotaDocumentError)) throw error;
      this.logs.quotaDocumentInvalid(path, error.message);
      return "invalid";
    }
  }
}
