import type { Logs } from "../observability/logs";
import { asApplyOutcome, type ApplyOutcome } from "../redis/apply-outcome";
import { Batcher } from "../redis/batcher";
import type { Keys } from "../redis/keys";
import { applySession, destroySession, touchSession, writeSession } from "../redis/lua.generated";
import type { RedisServers } from "../redis/redis-servers";
import { asList, asNumber, asOneOf, asText, asValues } from "../redis/reply";
import { runScript } from "../redis/script";
import { destroyedForMs, type SessionSnapshot, type UnstoredSession } from "./session";
import type { SessionData } from "./session-data";
import { DESTROYED, NOT_STORED, parseStoredData, parseStoredSession } from "./stored-session";

/**
 * What Redis knows of a session: what it holds, and the version if Firestore holds the same; that there is none; that it
 * was destroyed; or nothing.
 */
export type SessionEntry =
  | { readonly kind: "session"; readonly data: SessionData; readonly storedVersion: number | undefined }
  | { readonly kind: "absent" | "destroyed" | "miss" };

/**
 * What a touch found: a session, how long its document has left, and what Redis alone holds if it has nothing left; that
 * there is no session; or nothing.
 */
export type TouchOutcome =
  | { readonly kind: "touched"; readonly storedMs: number; readonly unstored: UnstoredSession | undefined }
  | { readonly kind: "none" }
  | { readonly kind: "miss" };

/** Where a snapshot comes from; see {@link RedisSessionStore.apply}. */
export type SnapshotOrigin = "set" | "call" | "event";

/** So many reads travel as one: sessions are large. */
const BATCH = 16;

/**
 * Life of the knowledge that there is no session: long enough to keep out what is late, and no longer, as anyone may ask
 * for sessions that do not exist.
 */
const ABSENT_MS = 120_000;

/** Sessions in Redis. An entry that cannot be read counts as none, and is logged. Every method throws RedisUnavailableError when Redis gives no answer. */
export class RedisSessionStore {
  private readonly reads: Batcher<string, SessionEntry>;

  constructor(
    private readonly redis: RedisServers,
    private readonly keys: Keys,
    private readonly options: { readonly ttlSeconds: number },
    private readonly logs: Logs,
  ) {
    const bucketOf = redis.isCluster ? (id: string) => keys.bucketOf(id) : undefined;
    this.reads = new Batcher((ids) => this.readMany(ids), BATCH, bucketOf);
  }

  read(sessionId: string): Promise<SessionEntry> {
    return this.reads.ask(sessionId);
  }

  /**
   * Stores a snapshot, unless Redis knows as new a version. Safe to repeat, and in any order.
   *
   * A destroyed session stays destroyed, and replaces any session, whatever their versions: Redis's own versions are by
   * another clock than Firestore's.
   *
   * @param origin `set` if the caller has just set the session, whose lifetime starts again; `call` if it has just read or
   * written the document; `event` for a change that may have been committed a while ago
   */
  apply(
    sessionId: string,
    { state, version, asOfMs }: SessionSnapshot,
    origin: SnapshotOrigin,
  ): Promise<ApplyOutcome> {
    const alive = typeof state === "object";
    const input = {
      entry: this.keys.session(sessionId),
      version,
      asOfMs,
      storedUntilMs: alive ? state.expiresAtMs : state === "destroyed" ? DESTROYED : NOT_STORED,
      origin,
      goneMs: state === "destroyed" ? this.destroyedMs : ABSENT_MS,
      json: alive ? JSON.stringify(state.data) : "",
    };
    return runScript(this.redis, applySession, input, asApplyOutcome);
  }

  /** Writes a session that Redis alone holds; false if it was destroyed. */
  async write(sessionId: string, data: SessionData, ttlMs: number): Promise<boolean> {
    const entry = this.keys.session(sessionId);
    const json = JSON.stringify(data);
    const written = await runScript(this.redis, writeSession, { entry, ttlMs, json }, (reply) =>
      asOneOf([0, 1], reply),
    );
    return written === 1;
  }

  /** Prolongs the life of a session to so many milliseconds from now; never shortens it. */
  touch(sessionId: string, ttlMs: number): Promise<TouchOutcome> {
    const entry = this.keys.session(sessionId);
    return runScript(this.redis, touchSession, { entry, ttlMs }, (reply) =>
      this.readable<TouchOutcome>(sessionId, () => toTouchOutcome(reply)),
    );
  }

  /** Destroys a session that Redis alone holds. */
  async destroy(sessionId: string): Promise<void> {
    const entry = this.keys.session(sessionId);
    const goneMs = this.destroyedMs;
    await runScript(this.redis, destroySession, { entry, goneMs }, (reply) => asOneOf([1], reply));
  }

  private async readMany(sessionIds: readonly string[]): Promise<SessionEntry[]> {
    const keys = sessionIds.map((id) => this.keys.session(id));
    const entries = await this.redis.runFor(keys[0]!, (redis) =>
      redis.mgetBuffer(...keys).then((reply) => asValues(reply, keys.length)),
    );
    return entries.map((entry, i) =>
      this.readable<SessionEntry>(sessionIds[i]!, () => toSessionEntry(entry)),
    );
  }

  private readable<T>(sessionId: string, parse: () => T): T | { readonly kind: "miss" } {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.logs.sessionEntryInvalid(sessionId);
      return { kind: "miss" };
    }
  }

  private get destroyedMs(): number {
    return destroyedForMs(this.options.ttlSeconds);
  }
}

function toSessionEntry(buffer: Buffer | null): SessionEntry {
  const entry = parseStoredSession(buffer);
  if (entry === undefined) return { kind: "miss" };
  const { data, storedUntilMs, version } = entry;
  if (data === undefined) return { kind: storedUntilMs === DESTROYED ? "destroyed" : "absent" };
  return { kind: "session", data, storedVersion: storedUntilMs === NOT_STORED ? undefined : version };
}

function toTouchOutcome(reply: unknown): TouchOutcome {
  const fields = asList(reply);
  if (fields.length === 0) return { kind: "miss" };
  if (asNumber(fields[0]) === 0) return { kind: "none" };
  const [, storedMs, version, text] = asList(reply, 4);
  const json = asText(text);
  const unstored = json === "" ? undefined : { data: parseStoredData(json), version: asNumber(version) };
  return { kind: "touched", storedMs: asNumber(storedMs), unstored };
}
