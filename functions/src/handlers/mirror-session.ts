import type { DocumentSnapshot } from "firebase-admin/firestore";
import type { Change } from "firebase-functions";

import type { Context } from "../context";
import { changedDocument, dataOf, versionAfter } from "../firestore";
import type { SessionMirror } from "../session/session-mirror";

/** The parts of a Firestore event that the mirror needs. */
export interface SessionEvent {
  /** When the change was committed: RFC 3339 in UTC, with up to nine fractional digits. */
  readonly timestamp: string;
}

/**
 * Applies a change of a session's document to Redis.
 *
 * @throws RedisUnavailableError, so that the failure shows in the function's log and error rate.
 */
export async function mirrorSession(
  { before, after }: Change<DocumentSnapshot>,
  event: SessionEvent,
  context: () => Context,
): ReturnType<SessionMirror["mirror"]> {
  return context().sessionMirror.mirror({
    sessionId: changedDocument(before, after).id,
    before: dataOf(before),
    after: dataOf(after),
    version: versionAfter(before, after),
    asOfMs: Date.parse(event.timestamp),
  });
}
