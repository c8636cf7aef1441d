import type { DocumentSnapshot, Firestore, Timestamp } from "@google-cloud/firestore";

import { withDeadline } from "../deadline";
import { parseQuota, type QuotaFields, type QuotaSnapshot } from "./quota";

/** Limit of one read; Firestore's client by itself retries for minutes. */
const READ_TIMEOUT_MS = 10_000;

/** Firestore gave no answer. */
export class FirestoreUnavailableError extends Error {
  override readonly name = "FirestoreUnavailableError";
  readonly code = "firestore-unavailable";

  constructor(
    path: string,
    override readonly cause: Error,
  ) {
    super(`Firestore gave no answer for ${path}: ${cause.message}`);
  }
}

/** A time of Firestore's as a version: microseconds since the epoch, Firestore's own resolution. */
export function toVersion(time: Timestamp): number {
  return time.seconds * 1_000_000 + Math.floor(time.nanoseconds / 1000);
}

/** Provider quotas in Firestore, the source of truth. */
export class FirestoreQuotaStore {
  constructor(
    private readonly firestore: Firestore,
    private readonly collectionPath: string,
    private readonly fields: QuotaFields,
    private readonly timeoutMs = READ_TIMEOUT_MS,
  ) {}

  /**
   * Reads one provider: one billed document read.
   *
   * @throws FirestoreUnavailableError, after 10 s at the latest
   * @throws InvalidQuotaDocumentError
   */
  async read(providerId: string): Promise<QuotaSnapshot> {
    const document = await this.get(`${this.collectionPath}/${providerId}`);
    const data = document.data();
    return {
      quota: data && parseQuota(data, this.fields),
      version: toVersion(document.updateTime ?? document.readTime),
      asOfMs: document.readTime.toMillis(),
    };
  }

  private async get(path: string): Promise<DocumentSnapshot> {
    try {
      const message = `no answer within ${this.timeoutMs} ms`;
      return await withDeadline(this.firestore.doc(path).get(), this.timeoutMs, message);
    } catch (error) {
      throw new FirestoreUnavailableError(path, error as Error);
    }
  }
}
