import type { DocumentSnapshot } from "firebase-admin/firestore";
import type { Change } from "firebase-functions";

import type { Context } from "../context";
import { changedDocument, dataOf, toVersion, versionAfter } from "../firestore";
import type { ApplyOutcome } from "../quota/quota-mirror";

/** The parts of a Firestore event that the mirror needs. */
export interface ProviderEvent {
  /** When the change was committed: RFC 3339 in UTC, with up to nine fractional digits. */
  readonly timestamp: string;
}

/**
 * Applies a change of a provider document to Redis.
 *
 * @throws RedisUnavailableError, InstallationConflictError, so that the failure shows in the function's log and error rate.
 */
export async function mirrorQuota(
  { before, after }: Change<DocumentSnapshot>,
  event: ProviderEvent,
  context: () => Context,
): Promise<ApplyOutcome> {
  const ref = changedDocument(before, after);
  return context().quotaMirror.mirror({
    providerId: ref.id,
    path: ref.path,
    data: dataOf(after),
    version: versionAfter(before, after),
    created: after.createTime ? toVersion(after.createTime) : 0,
    asOfMs: Date.parse(event.timestamp),
  });
}
