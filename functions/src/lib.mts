import { createSdk } from "./sdk/sdk.js";

// An app that imports this has Firebase's module by import: another one than by require, with errors of its own.
export const { createRedisQuota, withQuota, withRateLimit } = createSdk(
  () => import("firebase-functions/v2/https"),
);
export * from "./lib.js";
