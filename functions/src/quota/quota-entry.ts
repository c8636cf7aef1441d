/** What Redis holds of one provider. */
export interface QuotaEntryFields {
  /** Usage that Firestore lacks and no flush has begun to bring it; below 0 if more was refunded. */
  readonly pending: number;
  /** Used and limit as Firestore had them at `version`; 0 and a limit below 0 where it had none that can be used. */
  readonly used: number;
  readonly limit: number;
  /** Usage on its way to Firestore under `flushId`. */
  readonly inFlight: number;
  /** The document's update time, microseconds since the epoch. */
  readonly version: number;
  /** 0 if no flush is under way. */
  readonly flushId: number;
  /** The newest flush id that the document was seen to contain; 0 for none. */
  readonly marker: number;
}

/** In place of a limit: Firestore has no document. */
export const NO_DOCUMENT = -1;

/** In place of a limit: the quota was invalidated, and must be read from Firestore. */
export const INVALIDATED = -2;

/** Seven little-endian doubles, in the order in which the scripts unpack them. */
const BYTES = 56;

/** The fields of an entry as Redis returns it; undefined if there is none, or the value is something else. */
export function decodeQuotaEntry(entry: Buffer | null): QuotaEntryFields | undefined {
  if (entry?.length !== BYTES) return undefined;
  return {
    pending: entry.readDoubleLE(0),
    used: entry.readDoubleLE(8),
    inFlight: entry.readDoubleLE(16),
    limit: entry.readDoubleLE(24),
    version: entry.readDoubleLE(32),
    flushId: entry.readDoubleLE(40),
    marker: entry.readDoubleLE(48),
  };
}

/** What decides: usage counts wherever it is. A reset can leave more refunds in flight than there is to refund. */
export function effectiveUsed({ used, inFlight, pending }: QuotaEntryFields): number {
  return Math.max(0, used + inFlight) + pending;
}
