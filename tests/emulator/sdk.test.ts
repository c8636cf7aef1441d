import { setTimeout as sleep } from "node:timers/promises";

import type { Firestore } from "@google-cloud/firestore";

import { createRedisQuota, type RedisQuota } from "../../functions/src/lib";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import { QUOTA_CLIENT_CASES } from "../cases/quota-client.ts";
import { SESSION_CLIENT_CASES } from "../cases/session-client.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const { project, redisPort } = testEmulators();
let firestore: Firestore;

beforeAll(() => {
  firestore = connectFirestore(project);
});

afterAll(() => firestore.terminate());

describe.each<QuotaMode>(["firestore", "dual-write", "redis-primary"])("in mode %s", (mode) => {
  let client: RedisQuota;
  const keyPrefix = uniquePrefix();
  const redis = connectRedis(redisPort);
  const collection = () => firestore.collection(keyPrefix);

  beforeAll(() => {
    client = createRedisQuota({
      redisHost: "127.0.0.1",
      redisPort,
      redisTimeoutMs: 2000,
      keyPrefix,
      mode,
      quotaCollectionPath: keyPrefix,
      sessionCollectionPath: `${keyPrefix}-sessions`,
      firestore,
      log: () => {},
    });
  });

  afterAll(() => {
    client.close();
    redis.disconnect();
  });

  test.each(SESSION_CLIENT_CASES)("sessions: $name", ({ run }) => run(client.sessions, sleep));

  test.each(QUOTA_CLIENT_CASES)("quotas: $name", async ({ run }) => {
    await run({
      quota: client.quota,
      // Nothing mirrors this collection: what Redis holds of it is dropped instead.
      async setProvider(providerId, document) {
        const keys = await redis.keys(`${keyPrefix}:*`);
        if (keys.length > 0) await redis.unlink(...keys);
        await firestore.recursiveDelete(collection().doc(providerId));
        if (document) await collection().doc(providerId).set(document);
      },
    });
  });
});
