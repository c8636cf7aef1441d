import { HttpsError, type CallableRequest } from "firebase-functions/v2/https";

import type { RateLimiter } from "../rate-limit/rate-limiter";
import type { Caller } from "../rate-limit/subject";

/** What a handler may know of a call; the deployed callable passes Firebase's own request. */
export type Call = Pick<CallableRequest<unknown>, "auth" | "app" | "data" | "rawRequest">;

/**
 * Refuses a call without a valid App Check token where the installation enforces it.
 *
 * @throws HttpsError unauthenticated
 */
export function requireAppCheck(call: Call, enforceAppCheck: boolean): void {
  if (enforceAppCheck && call.app === undefined) {
    throw new HttpsError("unauthenticated", "A valid App Check token is required.");
  }
}

/**
 * The signed-in user's uid.
 *
 * @throws HttpsError unauthenticated
 */
export function requireUid(call: Call): string {
  if (call.auth === undefined) throw new HttpsError("unauthenticated", "Sign in first.");
  return call.auth.uid;
}

/**
 * Allows only the provider itself and administrators.
 *
 * @throws HttpsError unauthenticated, permission-denied
 */
export function requireOwnerOrAdmin(call: Call, providerId: string, adminClaim: string): void {
  const uid = requireUid(call);
  if (uid !== providerId && call.auth?.token[adminClaim] !== true) {
    throw new HttpsError("permission-denied", "Only the provider and administrators may do this.");
  }
}

/**
 * Refuses who is no administrator.
 *
 * @throws HttpsError unauthenticated, permission-denied
 */
export function requireAdmin(call: Call, adminClaim: string): void {
  requireUid(call);
  if (call.auth?.token[adminClaim] !== true) {
    throw new HttpsError("permission-denied", "Only administrators may do this.");
  }
}

/** Who calls, as a rate limit's policy asks it. */
export function callerOf({ auth, app, rawRequest }: Call, limiter: Pick<RateLimiter, "clientIp">): Caller {
  return { uid: auth?.uid, appId: app?.appId, ip: limiter.clientIp(rawRequest) };
}
