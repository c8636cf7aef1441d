/**
 * What the deployed functions run. The build makes one file of this, of all that it imports and of the libraries behind
 * that (scripts/bundle.mjs): a new instance reads and compiles that sooner than its many parts.
 */
export { context } from "./context";
export { backfillQuotas } from "./handlers/backfill-quotas";
export { checkQuota } from "./handlers/check-quota";
export { checkRateLimit } from "./handlers/check-rate-limit";
export { consumeQuota } from "./handlers/consume-quota";
export { getStatus } from "./handlers/get-status";
export { mirrorQuota } from "./handlers/mirror-quota";
export { mirrorSession } from "./handlers/mirror-session";
export { syncQuotas } from "./handlers/sync-quotas";
