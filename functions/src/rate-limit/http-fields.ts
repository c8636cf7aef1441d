import type { Decision } from "./decision";
import { quotaWindowMs, type SubjectLimits } from "./limit-algorithms";

/**
 * The HTTP response fields that tell a client where it stands: `RateLimit-Policy`, `RateLimit` and `Retry-After`.
 *
 * Sources: draft-ietf-httpapi-ratelimit-headers-10, RFC 9651 (structured fields), RFC 9110, section 10.2.3.
 */
export function rateLimitFields(
  subjectLimits: SubjectLimits,
  { allowed, limit, windowMs, remaining, retryAfterMs, resetAfterMs, source }: Decision,
): Readonly<Record<string, string>> {
  const { policy, limits } = subjectLimits;
  const itemOf = (ofWindowMs: number) => `"${limits.length === 1 ? policy : `${policy}-${ofWindowMs}ms`}"`;
  const quotas = new Map<number, number>();
  for (const each of limits) {
    const eachWindowMs = quotaWindowMs(each);
    quotas.set(eachWindowMs, Math.min(each.capacity, quotas.get(eachWindowMs) ?? Infinity));
  }
  const policies = [...quotas].map(
    ([eachWindowMs, quota]) => `${itemOf(eachWindowMs)};q=${quota};w=${seconds(eachWindowMs)}`,
  );
  const fields: Record<string, string> = { "RateLimit-Policy": policies.join(", ") };
  // Without a store nothing is counted, so that there is no state to tell.
  if (source === "redis" || source === "local")
    fields["RateLimit"] = `${itemOf(windowMs)};r=${Math.min(remaining, limit)};t=${seconds(resetAfterMs)}`;
  if (!allowed) fields["Retry-After"] = String(Math.max(1, seconds(retryAfterMs)));
  return fields;
}

/** Rounded up, so that who waits so long has waited long enough. */
function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000));
}
