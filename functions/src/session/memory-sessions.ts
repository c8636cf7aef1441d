import { withinTimeLimit } from "../firestore";
import type { MemoryServer } from "../memory-server";
import type { ApplyOutcome } from "../redis/apply-outcome";
import type { FirestoreSessionStore } from "./firestore-session-store";
import type { RedisSessionStore, SessionEntry, TouchOutcome } from "./redis-session-store";
import { destroyedForMs, SessionDestroyedError, type SessionSnapshot, type UnstoredSession } from "./session";
import type { SessionData } from "./session-data";

export interface MemorySessionsOptions {
  readonly collectionPath: string;
  readonly ttlSeconds: number;
}

/** A session as one store has it. */
interface Kept {
  /** Undefined for a destroyed one. */
  readonly data: SessionData | undefined;
  readonly untilMs: number;
}

const TIMEOUT_MS = 10_000;

/** Sessions in memory, and the stores as which the service sees them. Redis is told of each change of a document. */
export class MemorySessions {
  private readonly documents = new Map<string, Kept>();
  private readonly entries = new Map<string, Kept>();

  constructor(
    private readonly redis: MemoryServer,
    private readonly firestore: MemoryServer,
    private readonly options: MemorySessionsOptions,
    private readonly now: () => number,
  ) {}

  readonly redisStore: Pick<RedisSessionStore, "read" | "write" | "touch" | "apply" | "destroy"> = {
    read: (sessionId) => this.redis.run(() => this.readEntry(sessionId)),
    write: (sessionId, data, ttlMs) =>
      this.redis.run(() => {
        const known = this.alive(this.entries, sessionId);
        if (known && known.data === undefined) return false;
        this.entries.set(sessionId, { data, untilMs: this.now() + ttlMs });
        return true;
      }),
    touch: (sessionId, ttlMs) => this.redis.run(() => this.touchEntry(sessionId, ttlMs)),
    // The documents have told already.
    apply: () => this.redis.run((): ApplyOutcome => "superseded"),
    destroy: (sessionId) => this.redis.run(() => void this.entries.set(sessionId, this.destroyed())),
  };

  readonly firestoreStore: Pick<
    FirestoreSessionStore,
    "read" | "set" | "extend" | "destroy" | "destroyExisting"
  > = {
    read: (sessionId) => this.inFirestore(() => this.snapshot(sessionId)),
    set: (sessionId, data, ttlMs) =>
      this.inFirestore(() => {
        if (this.snapshot(sessionId).state === "destroyed") throw new SessionDestroyedError();
        const session = { data, untilMs: this.now() + ttlMs };
        this.entries.set(sessionId, session);
        return this.store(sessionId, session);
      }),
    extend: (sessionId, ttlMs, unstored) => this.inFirestore(() => this.extend(sessionId, ttlMs, unstored)),
    destroy: (sessionId) =>
      this.inFirestore(() => {
        this.entries.set(sessionId, this.destroyed());
        return this.store(sessionId, this.destroyed());
      }),
    destroyExisting: (sessionId) =>
      this.inFirestore(() => {
        if (this.documents.has(sessionId)) this.store(sessionId, this.destroyed());
      }),
  };

  private readEntry(sessionId: string): SessionEntry {
    const entry = this.alive(this.entries, sessionId);
    if (entry === undefined) return { kind: "miss" };
    if (entry.data === undefined) return { kind: "destroyed" };
    return { kind: "session", data: structuredClone(entry.data), storedVersion: undefined };
  }

  private touchEntry(sessionId: string, ttlMs: number): TouchOutcome {
    const entry = this.alive(this.entries, sessionId);
    if (entry === undefined) return { kind: "miss" };
    const { data, untilMs } = entry;
    if (data === undefined) return { kind: "none" };
    this.entries.set(sessionId, { data, untilMs: Math.max(untilMs, this.now() + ttlMs) });
    const document = this.alive(this.documents, sessionId);
    if (document === undefined) return { kind: "touched", storedMs: 0, unstored: { data, version: 0 } };
    return { kind: "touched", storedMs: document.untilMs - this.now(), unstored: undefined };
  }

  private extend(sessionId: string, ttlMs: number, unstored: UnstoredSession | undefined): SessionSnapshot {
    const current = this.snapshot(sessionId);
    const { state, asOfMs } = current;
    if (state === "destroyed") return current;
    if (state !== "absent" && state.expiresAtMs - asOfMs >= ttlMs / 2) return current;
    const data = state === "absent" ? unstored?.data : state.data;
    if (data === undefined) return current;
    const untilMs = asOfMs + ttlMs;
    const entry = this.alive(this.entries, sessionId);
    this.entries.set(sessionId, { data, untilMs: Math.max(untilMs, entry?.untilMs ?? 0) });
    return this.store(sessionId, { data, untilMs });
  }

  private store(sessionId: string, document: Kept): SessionSnapshot {
    this.documents.set(sessionId, document);
    return this.snapshot(sessionId);
  }

  private snapshot(sessionId: string): SessionSnapshot {
    const document = this.alive(this.documents, sessionId);
    const state =
      document === undefined
        ? "absent"
        : document.data === undefined
          ? "destroyed"
          : { data: structuredClone(document.data), expiresAtMs: document.untilMs };
    return { state, version: 0, asOfMs: this.now() };
  }

  private alive(kept: ReadonlyMap<string, Kept>, sessionId: string): Kept | undefined {
    const session = kept.get(sessionId);
    return session && session.untilMs > this.now() ? session : undefined;
  }

  private destroyed(): Kept {
    return { data: undefined, untilMs: this.now() + destroyedForMs(this.options.ttlSeconds) };
  }

  private inFirestore<T>(use: () => T): Promise<T> {
    const { collectionPath } = this.options;
    return withinTimeLimit(
      collectionPath,
      TIMEOUT_MS,
      () => this.firestore.run(use),
      () => true,
    );
  }
}
