import { HttpsError, type CallableRequest } from "firebase-functions/v2/https";

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
 * Refuses who is neither the provider nor an administrator.
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
 * The caller's IP address: the last entry of X-Forwarded-For, which Google's front end adds. Those before it are the
 * caller's own words.
 */
export function clientIp(call: Call): string {
  const forwarded = [call.rawRequest.headers["x-forwarded-for"] ?? []].flat().join(",");
  return forwarded.split(",").at(-1)?.trim() || call.rawRequest.socket?.remoteAddress || "unknown";
}
