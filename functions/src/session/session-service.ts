import { FirestoreUnavailableError } from "../firestore";
import type { Logs } from "../observability/logs";
import { RedisUnavailableError } from "../redis/connection";
import type { FirestoreSessionStore } from "./firestore-session-store";
import type { RedisSessionStore } from "./redis-session-store";
import {
  parseSessionId,
  parseSessionTtl,
  SessionDestroyedError,
  SessionStillCachedError,
  SessionUnavailableError,
  type SessionSnapshot,
  type UnstoredSession,
} from "./session";
import { parseSessionData, type SessionData } from "./session-data";

/** Where sessions are kept: in Firestore; in Firestore, with Redis in front; or in Redis alone. */
export type SessionMode = "firestore" | "dual-write" | "redis-primary";

export interface SessionServiceOptions {
  readonly mode: SessionMode;
  /** Life of a session, where a call does not say. */
  readonly ttlSeconds: number;
}

/** A session's data and who answered it. */
export interface FoundSession {
  readonly data: SessionData;
  readonly source: "redis" | "firestore";
}

export interface SessionLife {
  /** How long the session is to live from now on: 1 to 2592000 (30 days). SESSION_TTL_SECONDS by default. */
  readonly ttlSeconds?: number | undefined;
}

/**
 * Sessions, in one of three modes. A session lives for its TTL after the last `set` or `touch`; `get` does not prolong
 * it. Every method throws InvalidSessionIdError for a bad id, FirestoreUnavailableError when Firestore has to answer and
 * does not, and SessionUnavailableError when Redis alone could.
 *
 * @example
 * await sessions.set(id, { uid: "u1", cart: [] });
 * const session = await sessions.get(id); // { data: { uid: "u1", cart: [] }, source: "redis" }
 * if (session) await sessions.touch(id);
 * await sessions.destroy(id);
 */
export class SessionService {
  constructor(
    private readonly redisStore: Pick<RedisSessionStore, "read" | "write" | "touch" | "apply" | "destroy">,
    private readonly firestoreStore: Pick<
      FirestoreSessionStore,
      "read" | "set" | "extend" | "destroy" | "destroyExisting"
    >,
    private readonly options: SessionServiceOptions,
    private readonly logs: Logs,
  ) {}

  /** Finds a session; undefined if there is none, or it has expired or was destroyed. */
  async get(sessionId: string): Promise<FoundSession | undefined> {
    parseSessionId(sessionId);
    if (this.options.mode === "firestore") return this.readFirestore(sessionId);
    if (this.options.mode === "redis-primary") {
      const entry = await this.inRedis(() => this.redisStore.read(sessionId));
      return entry.kind === "session" ? { data: entry.data, source: "redis" } : undefined;
    }
    const entry = await this.orBypass(() => this.redisStore.read(sessionId));
    if (entry === "unavailable") return this.readFirestore(sessionId);
    if (entry.kind === "session") return { data: entry.data, source: "redis" };
    if (entry.kind !== "miss") return undefined;
    // Not shared with others that miss: one that begins after a destroy must not have an answer from before it.
    const snapshot = await this.orLog(() => this.firestoreStore.read(sessionId));
    await this.tellRedis(sessionId, snapshot, "call");
    return toFound(snapshot);
  }

  /**
   * Begins or replaces a session; its life begins anew.
   *
   * @throws InvalidSessionDataError, SessionTooLargeError, InvalidSessionTtlError
   * @throws SessionDestroyedError when a session of this id was destroyed
   */
  async set(sessionId: string, data: SessionData, life: SessionLife = {}): Promise<void> {
    parseSessionId(sessionId);
    const own = parseSessionData(data);
    const ttlMs = this.ttlMs(life);
    if (this.options.mode === "redis-primary") {
      const alive = await this.inRedis(() => this.redisStore.write(sessionId, own, ttlMs));
      if (!alive) throw new SessionDestroyedError();
      return;
    }
    if (this.options.mode === "firestore") {
      await this.orLog(() => this.firestoreStore.set(sessionId, own, ttlMs));
      return;
    }
    const known = await this.orBypass(() => this.redisStore.read(sessionId));
    if (known !== "unavailable" && known.kind === "destroyed") throw new SessionDestroyedError();
    const belief =
      known === "unavailable"
        ? undefined
        : known.kind === "session"
          ? (known.storedVersion ?? "no document")
          : "no document";
    const snapshot = await this.orLog(() => this.firestoreStore.set(sessionId, own, ttlMs, belief));
    await this.tellRedis(sessionId, snapshot, "set");
  }

  /**
   * Prolongs the life of a session; never shortens it. Firestore is told when the session has less than half of its life
   * left there.
   *
   * @returns whether there is such a session
   * @throws InvalidSessionTtlError
   */
  async touch(sessionId: string, life: SessionLife = {}): Promise<boolean> {
    parseSessionId(sessionId);
    const ttlMs = this.ttlMs(life);
    if (this.options.mode === "firestore") return this.touchFirestore(sessionId, ttlMs);
    if (this.options.mode === "redis-primary") {
      return (await this.inRedis(() => this.redisStore.touch(sessionId, ttlMs))).kind === "touched";
    }
    const touched = await this.orBypass(() => this.redisStore.touch(sessionId, ttlMs));
    if (touched === "unavailable") return this.touchFirestore(sessionId, ttlMs);
    if (touched.kind === "none") return false;
    if (touched.kind === "miss") {
      const alive = await this.extend(sessionId, ttlMs);
      if (alive) await this.orBypass(() => this.redisStore.touch(sessionId, ttlMs));
      return alive;
    }
    if (touched.storedMs >= ttlMs / 2) return true;
    try {
      return await this.extend(sessionId, ttlMs, touched.unstored);
    } catch (error) {
      // Redis has prolonged the session; the next touch tries again.
      if (error instanceof FirestoreUnavailableError) return true;
      throw error;
    }
  }

  /**
   * Ends a session at once and for good: once this has returned, no `get` finds it, and nothing can be set under its id.
   *
   * @throws SessionStillCachedError when Redis could not be told and may still answer it
   */
  async destroy(sessionId: string): Promise<void> {
    parseSessionId(sessionId);
    if (this.options.mode === "redis-primary") {
      await this.inRedis(() => this.redisStore.destroy(sessionId));
      await this.destroyCopy(sessionId);
      return;
    }
    const snapshot = await this.orLog(() => this.firestoreStore.destroy(sessionId));
    if (this.options.mode === "firestore") return;
    try {
      await this.redisStore.apply(sessionId, snapshot, "call");
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      this.logs.sessionCacheBypassed(error);
      throw new SessionStillCachedError(error);
    }
  }

  /** A document from before the mode was redis-primary would bring the session back when the mode is left. */
  private async destroyCopy(sessionId: string): Promise<void> {
    try {
      await this.orLog(() => this.firestoreStore.destroyExisting(sessionId));
    } catch (error) {
      // In this mode Firestore is not read, and the session has ended.
      if (!(error instanceof FirestoreUnavailableError)) throw error;
    }
  }

  private async readFirestore(sessionId: string): Promise<FoundSession | undefined> {
    return toFound(await this.orLog(() => this.firestoreStore.read(sessionId)));
  }

  private async touchFirestore(sessionId: string, ttlMs: number): Promise<boolean> {
    return toFound(await this.orLog(() => this.firestoreStore.extend(sessionId, ttlMs))) !== undefined;
  }

  private async extend(sessionId: string, ttlMs: number, unstored?: UnstoredSession): Promise<boolean> {
    const snapshot = await this.orLog(() => this.firestoreStore.extend(sessionId, ttlMs, unstored));
    await this.tellRedis(sessionId, snapshot, "call");
    return toFound(snapshot) !== undefined;
  }

  private async tellRedis(
    sessionId: string,
    snapshot: SessionSnapshot,
    origin: "set" | "call",
  ): Promise<void> {
    const outcome = await this.orBypass(() => this.redisStore.apply(sessionId, snapshot, origin));
    if (outcome === "late") this.logs.redisClockAhead();
  }

  private ttlMs({ ttlSeconds = this.options.ttlSeconds }: SessionLife): number {
    return parseSessionTtl(ttlSeconds) * 1000;
  }

  private async inRedis<T>(useRedis: () => Promise<T>): Promise<T> {
    try {
      return await useRedis();
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      throw new SessionUnavailableError(error.outcome, error);
    }
  }

  private async orBypass<T>(useRedis: () => Promise<T>): Promise<T | "unavailable"> {
    try {
      return await useRedis();
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      this.logs.sessionCacheBypassed(error);
      return "unavailable";
    }
  }

  private async orLog<T>(useFirestore: () => Promise<T>): Promise<T> {
    try {
      return await useFirestore();
    } catch (error) {
      if (error instanceof FirestoreUnavailableError) this.logs.firestoreUnavailable(error);
      throw error;
    }
  }
}

function toFound({ state }: SessionSnapshot): FoundSession | undefined {
  return typeof state === "object" ? { data: state.data, source: "firestore" } : undefined;
}
