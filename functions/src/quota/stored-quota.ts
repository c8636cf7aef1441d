/**
 * What a provider's entry in Redis holds: one string of little-endian doubles in this order, so that a single MGET reads
 * any number of entries and a single MSET writes them. A clean entry ends before `pending`. A double holds each of these
 * numbers exactly, as all are whole and below 2^53. The scripts in lua/ read and write the same.
 */
export interface StoredQuota {
  /** What Firestore held at `version`; 0 without a document, or where that is not known. */
  readonly used: number;
  /** What Firestore held at `version`, or NO_DOCUMENT or NOT_KNOWN. */
  readonly limit: number;
  /** The document's update time, microseconds since the epoch. */
  readonly version: number;
  /** The newest flush that is known: the one under way, or else one that the document was seen to contain; 0 for none. */
  readonly flushId: number;
  /** Usage that Redis has accepted since the last flush began; negative where refunds prevail. */
  readonly pending: number;
  /** Usage that is being flushed; not 0 as long as a flush is under way. */
  readonly inFlight: number;
}

/** Limit of a provider that has no document. */
export const NO_DOCUMENT = -1;

/** Limit of an entry that only keeps older versions out: the quota must be read from Firestore. */
export const NOT_KNOWN = -2;

const CLEAN_BYTES = 32;
const DIRTY_BYTES = 48;

/** Reads an entry; undefined if there is none, or something else under its key. */
export function parseStoredQuota(entry: Buffer | null): StoredQuota | undefined {
  if (entry?.length !== CLEAN_BYTES && entry?.length !== DIRTY_BYTES) return undefined;
  const clean = entry.length === CLEAN_BYTES;
  return {
    used: entry.readDoubleLE(0),
    limit: entry.readDoubleLE(8),
    version: entry.readDoubleLE(16),
    flushId: entry.readDoubleLE(24),
    pending: clean ? 0 : entry.readDoubleLE(32),
    inFlight: clean ? 0 : entry.readDoubleLE(40),
  };
}

/** What has been used as calls are decided and checks answered; a reset can leave more refunds in flight than `used`. */
export function usedInAll({ used, pending, inFlight }: StoredQuota): number {
  return Math.max(0, used + inFlight) + pending;
}

/** Whether an entry has usage that Firestore does not have yet. */
export function hasUnsynced({ pending, inFlight }: StoredQuota): boolean {
  return pending !== 0 || inFlight !== 0;
}
