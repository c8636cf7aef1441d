import type { Quota } from "./quota";

/**
 * Usage on its way from Redis to Firestore.
 *
 * `flushId` is greater than any before it for this provider; a document that contains it, or a greater one, contains
 * this flush. `version` is the newest that the entry knew, and `base` what the usage was counted on top of: the quota of
 * that version, no document, or one whose content is not known. `amount` is negative where refunds prevail.
 */
export interface Flush {
  readonly providerId: string;
  readonly flushId: number;
  readonly amount: number;
  readonly version: number;
  readonly base: Quota | "none" | "unknown";
}
