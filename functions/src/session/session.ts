import { formatRedacted, formatValue, InvalidArgumentError, isDocumentId } from "../validation";
import type { SessionData } from "./session-data";

/** A session that is alive: what it holds, and until when (Unix time, milliseconds). */
export interface Session {
  readonly data: SessionData;
  readonly expiresAtMs: number;
}

/**
 * What Firestore held of a session at a version: the session; `absent` for no document, or one without a valid session;
 * or `destroyed`, which is final.
 *
 * `version` is the document's update time in microseconds since the epoch; for no document, one above that of the
 * deleted one, or the time of the read that found none. `asOfMs` is when Firestore said so.
 */
export interface SessionSnapshot {
  readonly state: Session | "absent" | "destroyed";
  readonly version: number;
  readonly asOfMs: number;
}

/** A session that Redis holds and Firestore does not. */
export interface UnstoredSession {
  readonly data: SessionData;
  readonly version: number;
}

const MAX_ID_CHARACTERS = 256;

/** Longest life that a call can give a session: 30 days. */
export const MAX_SESSION_TTL_SECONDS = 2_592_000;

/** Nothing that was under way when a session was destroyed may still be so when that is forgotten. */
const MIN_DESTROYED_SECONDS = 120;

/** For clocks that differ. */
const DESTROYED_MARGIN_SECONDS = 60;

/** A session id is invalid. The message does not show it: who has an id has the session. */
export class InvalidSessionIdError extends InvalidArgumentError {
  override readonly name = "InvalidSessionIdError";

  constructor(received: unknown) {
    const expected = '1 to 256 characters, no "/", not ".", ".." or __x__';
    super("sessionId", expected, formatRedacted(received));
  }
}

/** A call's TTL is invalid. */
export class InvalidSessionTtlError extends InvalidArgumentError {
  override readonly name = "InvalidSessionTtlError";

  constructor(received: unknown) {
    const expected = `a whole number from 1 to ${MAX_SESSION_TTL_SECONDS} (30 days)`;
    super("ttlSeconds", expected, formatValue(received));
  }
}

/** The session was destroyed, and its id cannot be used again. */
export class SessionDestroyedError extends Error {
  override readonly name = "SessionDestroyedError";
  readonly code = "session-destroyed";

  constructor() {
    super("The session was destroyed; begin a new one under a new id.");
  }
}

/**
 * The session is destroyed in Firestore, but Redis could not be told and may still answer it: until mirrorSession has
 * told it, or the session expires there. Destroy it again to be sure.
 */
export class SessionStillCachedError extends Error {
  override readonly name = "SessionStillCachedError";
  readonly code = "session-still-cached";

  constructor(override readonly cause: Error) {
    super(`The session is destroyed in Firestore, but Redis may still answer it: ${cause.message}`);
  }
}

/** Redis, which alone holds the sessions in mode redis-primary, gave no answer. */
export class SessionUnavailableError extends Error {
  override readonly name = "SessionUnavailableError";
  readonly code = "session-unavailable";

  constructor(
    /** Whether what was asked for may have been done. */
    readonly outcome: "not-executed" | "unknown",
    override readonly cause: Error,
  ) {
    super(`In MODE redis-primary Redis alone holds the sessions: ${cause.message}`);
  }
}

/**
 * Checks that a value can be the id of a session.
 *
 * @throws InvalidSessionIdError
 */
export function parseSessionId(value: unknown): string {
  if (!isDocumentId(value) || value.length > MAX_ID_CHARACTERS) throw new InvalidSessionIdError(value);
  return value;
}

/**
 * Checks a TTL.
 *
 * @throws InvalidSessionTtlError
 */
export function parseSessionTtl(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > MAX_SESSION_TTL_SECONDS) {
    throw new InvalidSessionTtlError(value);
  }
  return value;
}

/** How long it is remembered that a session was destroyed, in milliseconds: longer than it could have lived. */
export function destroyedForMs(ttlSeconds: number): number {
  return (Math.max(ttlSeconds, MIN_DESTROYED_SECONDS) + DESTROYED_MARGIN_SECONDS) * 1000;
}
