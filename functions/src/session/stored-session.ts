import { isMap } from "../validation";
import type { SessionData } from "./session-data";

/**
 * What a session's entry in Redis holds: one string of two little-endian doubles, then the session's JSON; the entry
 * expires when the session does. Without JSON there is no session, and the entry keeps older versions out. A double holds
 * both numbers exactly, as they are whole and below 2^53. The scripts in lua/ read and write the same.
 */
export interface StoredSession {
  /** The document's update time, microseconds since the epoch; of what Redis alone holds, when it was written there. */
  readonly version: number;
  /** When the document expires, Unix ms; NOT_STORED if Firestore does not hold this, DESTROYED if it was destroyed. */
  readonly storedUntilMs: number;
  readonly data: SessionData | undefined;
}

/** Firestore does not hold what the entry does. */
export const NOT_STORED = 0;

/** There was a session, and must not be again. */
export const DESTROYED = -1;

const HEADER_BYTES = 16;

/**
 * Reads an entry; undefined if there is none, or something else under its key.
 *
 * @throws SyntaxError
 */
export function parseStoredSession(entry: Buffer | null): StoredSession | undefined {
  if (entry === null || entry.length < HEADER_BYTES) return undefined;
  return {
    version: entry.readDoubleLE(0),
    storedUntilMs: entry.readDoubleLE(8),
    data: entry.length > HEADER_BYTES ? parseStoredData(entry.toString("utf8", HEADER_BYTES)) : undefined,
  };
}

/**
 * Reads the JSON of an entry.
 *
 * @throws SyntaxError
 */
export function parseStoredData(json: string): SessionData {
  const data: unknown = JSON.parse(json);
  if (!isMap(data)) throw new SyntaxError("The JSON holds no object.");
  return data as SessionData;
}
