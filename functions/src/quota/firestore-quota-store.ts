import type { Firestore, Timestamp } from "@google-cloud/firestore";

import { parseQuota, type QuotaFields, type QuotaSnapshot } from "./quota";

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
  ) {}

  /**
   * Reads one provider: one billed document read.
   *
   * @throws InvalidQuotaDocumentError, and Firestore's own errors.
   */
  async read(providerId: string): Promise<QuotaSnapshot> {
    const document = await this.firestore.collection(this.collectionPath).doc(providerId).get();
    const data = document.data();
    return {
      quota: data && parseQuota(data, this.fields),
      version: toVersion(document.updateTime ?? document.readTime),
      asOfMs: document.readTime.toMillis(),
    };
  }
}
