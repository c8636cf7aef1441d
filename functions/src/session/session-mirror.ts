import type { Logs } from "../observability/logs";
import { untilRedisAnswers } from "../redis/retry";
import type { ApplyOutcome } from "../redis/apply-outcome";
import type { RedisSessionStore } from "./redis-session-store";
import type { SessionSnapshot } from "./session";
import { InvalidSessionDocumentError, isSessionDocument, parseSessionDocument } from "./session-document";

type Data = Readonly<Record<string, unknown>> | undefined;

/** A change of a session's document: what it held, and what it holds; undefined where there was or is none. */
export interface SessionChange {
  readonly sessionId: string;
  readonly before: Data;
  readonly after: Data;
  /** Update time in microseconds since the epoch; of a deleted document, one above its last. */
  readonly version: number;
  /** When the change was committed, Unix time in milliseconds. */
  readonly asOfMs: number;
}

/** Keeps Redis in step with the session documents. */
export class SessionMirror {
  constructor(
    private readonly store: RedisSessionStore,
    private readonly logs: Logs,
  ) {}

  /**
   * Applies one change to Redis by its version, so that repeated, late and reordered events do no harm. A document
   * without a valid session ends the session.
   *
   * @returns `ignored` for a document that neither was nor is a session; `expired` for one that was removed after it
   * expired, where Redis keeps what touches have prolonged
   * @throws RedisUnavailableError when Redis gives no answer for about 20 s.
   */
  async mirror(change: SessionChange): Promise<ApplyOutcome | "expired" | "ignored"> {
    const { sessionId, before, after, version, asOfMs } = change;
    if (!isSessionDocument(before) && !isSessionDocument(after)) return "ignored";
    const outcome =
      after === undefined && hadExpired(before, asOfMs)
        ? "expired"
        : await this.apply(sessionId, { state: this.parse(sessionId, after), version, asOfMs });
    this.logs.sessionMirrored(outcome, Date.now() - asOfMs);
    return outcome;
  }

  private apply(sessionId: string, snapshot: SessionSnapshot): Promise<ApplyOutcome> {
    return untilRedisAnswers.execute(() => this.store.apply(sessionId, snapshot, "event"));
  }

  private parse(sessionId: string, data: Data): SessionSnapshot["state"] {
    try {
      return parseSessionDocument(data);
    } catch (error) {
      if (!(error instanceof InvalidSessionDocumentError)) throw error;
      this.logs.sessionDocumentInvalid(sessionId, error.message);
      return "absent";
    }
  }
}

/** Whether a document's time was up when it was deleted. */
function hadExpired(data: Data, deletedAtMs: number): boolean {
  try {
    const state = parseSessionDocument(data);
    return state === "destroyed" || (typeof state === "object" && state.expiresAtMs <= deletedAtMs);
  } catch (error) {
    if (error instanceof InvalidSessionDocumentError) return false;
    throw error;
  }
}
