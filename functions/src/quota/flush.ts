/**
 * Usage on its way from Redis to Firestore.
 *
 * `flushId` is greater than any before it for this provider; a document that contains it, or a greater one, contains
 * this flush. `base` is what the usage was counted on top of: the document at a version, no document, or one whose
 * content is not known. `amount` is negative where refunds prevail.
 */
export interface Flush {
  readonly providerId: string;
  readonly flushId: number;
  readonly amount: number;
  readonly base:
    { readonly used: number; readonly limit: number; readonly version: number } | "none" | "unknown";
}
