/**
 * An app that uses the SDK by import and by require. Prints the port that its functions listen on; the first part of a
 * path says how that function's app loads its modules.
 *
 * Usage: node app.mjs <port of Redis> <key prefix>
 */
import { createRequire } from "node:module";

import express from "express";
import * as adminApp from "firebase-admin/app";
import * as https from "firebase-functions/v2/https";
import * as sdk from "firestore-redis-quota/lib";

const require = createRequire(import.meta.url);
const [redisPort, keyPrefix] = process.argv.slice(2);

adminApp.initializeApp({ projectId: process.env.GCLOUD_PROJECT });

/** The functions of an app, made with the modules as it loads them. */
function createFunctions({ onCall }, { createRedisQuota, withQuota, withRateLimit }, name) {
  const collection = `${keyPrefix}-${name}`;
  const { quota, limiter, sessions } = createRedisQuota({
    redisHost: "127.0.0.1",
    redisPort: Number(redisPort),
    redisTimeoutMs: 2000,
    keyPrefix: collection,
    mode: "dual-write",
    quotaCollectionPath: collection,
    sessionCollectionPath: `${collection}-sessions`,
    rateLimitPolicies: [
      { name: "once", by: "global", limits: [{ algorithm: "fixed-window", limit: 1, window: "1 h" }] },
    ],
  });
  const answer = async () => "answered";
  return {
    limited: onCall(withRateLimit(answer, { limiter, policy: "once" })),
    counted: onCall(withQuota(answer, { quota, providerId: ({ data }) => data.providerId })),
    session: onCall(async ({ data: { id, data } }) => {
      await sessions.set(id, data);
      await sessions.set(id, { ...data, visits: 2 });
      const { data: found } = await sessions.get(id);
      await sessions.destroy(id);
      return { found, afterwards: await sessions.get(id) };
    }),
  };
}

const apps = {
  import: createFunctions(https, sdk, "import"),
  require: createFunctions(
    require("firebase-functions/v2/https"),
    require("firestore-redis-quota/lib"),
    "require",
  ),
};
const server = express().use(express.json());
for (const [name, functions] of Object.entries(apps)) {
  for (const [path, handler] of Object.entries(functions)) server.post(`/${name}/${path}`, handler);
}
const listener = server.listen(0, "127.0.0.1", () => console.log(`port ${listener.address().port}`));
