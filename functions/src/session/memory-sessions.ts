import { FirestoreUnavailableError } from "../firestore";
import {
  destroyedForMs,
  parseSessionId,
  parseSessionTtl,
  SessionDestroyedError,
  type Session,
} from "./session";
import { parseSessionData, type SessionData } from "./session-data";
import type { FoundSession, SessionLife } from "./session-service";

interface Destroyed {
  readonly forgottenAtMs: number;
}

/** Sessions in memory: for tests of an app's code without Redis and Firestore. */
export class MemorySessions {
  /** Who answers; undefined if nobody does. */
  source: FoundSession["source"] | undefined = "redis";

  private readonly sessions = new Map<string, Session | Destroyed>();

  constructor(
    private readonly options: { readonly ttlSeconds: number },
    private readonly now: () => number = Date.now,
  ) {}

  async get(sessionId: string): Promise<FoundSession | undefined> {
    parseSessionId(sessionId);
    const source = this.requireSource();
    const session = this.alive(sessionId);
    return session && { data: parseSessionData(session.data), source };
  }

  async set(sessionId: string, data: SessionData, life: SessionLife = {}): Promise<void> {
    parseSessionId(sessionId);
    const own = parseSessionData(data);
    const ttlMs = this.ttlMs(life);
    this.requireSource();
    const known = this.sessions.get(sessionId);
    if (known && "forgottenAtMs" in known && known.forgottenAtMs > this.now())
      throw new SessionDestroyedError();
    this.sessions.set(sessionId, { data: own, expiresAtMs: this.now() + ttlMs });
  }

  async touch(sessionId: string, life: SessionLife = {}): Promise<boolean> {
    parseSessionId(sessionId);
    const ttlMs = this.ttlMs(life);
    this.requireSource();
    const session = this.alive(sessionId);
    if (session === undefined) return false;
    const expiresAtMs = Math.max(session.expiresAtMs, this.now() + ttlMs);
    this.sessions.set(sessionId, { data: session.data, expiresAtMs });
    return true;
  }

  async destroy(sessionId: string): Promise<void> {
    parseSessionId(sessionId);
    this.requireSource();
    this.sessions.set(sessionId, { forgottenAtMs: this.now() + destroyedForMs(this.options.ttlSeconds) });
  }

  private alive(sessionId: string): Session | undefined {
    const known = this.sessions.get(sessionId);
    return known && "data" in known && known.expiresAtMs > this.now() ? known : undefined;
  }

  private ttlMs({ ttlSeconds = this.options.ttlSeconds }: SessionLife): number {
    return parseSessionTtl(ttlSeconds) * 1000;
  }

  private requireSource(): FoundSession["source"] {
    if (this.source !== undefined) return this.source;
    throw new FirestoreUnavailableError("sessions", "not-executed", new Error("the test says so"));
  }
}
