import type { DocumentSnapshot } from "@google-cloud/firestore";
import type { Change } from "firebase-functions/v1";

import type { Context } from "../context";
import { toVersion } from "../quota/firestore-quota-store";
import type { ApplyOutcome } from "../quota/redis-quota-store";

/** The parts of a Firestore trigger's context that the mirror needs. */
export interface ProviderEvent {
  /** When the change was committed: RFC 3339 in UTC, with up to nine fractional digits. */
  readonly timestamp: string;
}

/**
 * Applies a change of a provider document to Redis.
 *
 * @throws RedisUnavailableError, so that the failure shows in the function's log and error rate.
 */
export async function mirrorQuota(
  { before, after }: Change<DocumentSnapshot>,
  event: ProviderEvent,
  context: () => Context,
): Promise<ApplyOutcome> {
  const committed = microseconds(event.timestamp);
  // A deleted document has no update time. One above that of what was deleted is below that of any document after it.
  const version = after.updateTime ? toVersion(after.updateTime) : toVersion(before.updateTime!) + 1;
  return context().quotaMirror.mirror({
    providerId: after.ref.id,
    path: after.ref.path,
    data: after.data(),
    version,
    created: after.createTime ? toVersion(after.createTime) : 0,
    asOfMs: Math.floor(committed / 1000),
  });
}

/** Microseconds since the epoch; Date alone would cut them to milliseconds. */
function microseconds(timestamp: string): number {
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? "";
  const wholeSeconds = Date.parse(timestamp.replace(/\.\d+/, ""));
  return wholeSeconds * 1000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}
