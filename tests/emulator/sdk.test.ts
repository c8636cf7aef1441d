import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import type { Redis } from "ioredis";

import { CallControls } from "../../emulator/firestore/controls.ts";
import { createRedisQuota, type RedisQuota } from "../../functions/src/lib";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { LIMITER_CLIENT_CASES, LIMITER_POLICIES } from "../cases/limiter-client.ts";
import { OUTAGE_CASES, type ClientsUnderTest } from "../cases/outages.ts";
import { QUOTA_CLIENT_CASES } from "../cases/quota-client.ts";
import { SESSION_CLIENT_CASES } from "../cases/session-client.ts";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { startFaultProxy, type FaultProxy } from "../harness/fault-proxy.ts";
import { connectPatiently } from "../harness/patience.ts";
import { ProviderDocuments } from "../harness/provider-documents.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const { redisPort } = testEmulators();
let target: FirestoreTarget;
let calls: CallControls;
let redis: Redis;
let connection: RedisConnection;

beforeAll(async () => {
  // A stand-in of its own, whose calls can fail.
  target = await startTarget();
  calls = new CallControls(target.address);
  redis = connectRedis(redisPort);
  connection = connectPatiently(redisPort);
});

afterAll(async () => {
  redis.disconnect();
  connection.close();
  await target.stop();
});

describe.each<QuotaMode>(["firestore", "dual-write", "redis-primary"])("in mode %s", (mode) => {
  const keyPrefix = uniquePrefix();
  let client: RedisQuota;
  let proxy: FaultProxy;
  let documents: ProviderDocuments;
  let clients: ClientsUnderTest;

  beforeAll(async () => {
    proxy = await startFaultProxy(redisPort);
    client = createRedisQuota({
      redisHost: "127.0.0.1",
      redisPort: proxy.port,
      redisTimeoutMs: 2000,
      keyPrefix,
      mode,
      quotaCollectionPath: keyPrefix,
      sessionCollectionPath: `${keyPrefix}-sessions`,
      rateLimitPolicies: LIMITER_POLICIES,
      firestore: target.db,
      log: () => {},
    });
    const beside = { collection: target.db.collection(keyPrefix), keys: new Keys(keyPrefix) };
    documents = new ProviderDocuments(
      assembleQuotaParts({ firestore: target.db, redis: connection, mode, beside }),
    );
    clients = {
      ...client,
      mode,
      setProvider: (...document) => documents.set(...document),
      answerFrom,
    };
  });

  afterEach(async () => {
    await answerFrom("redis");
    await target.db.recursiveDelete(target.db.collection(keyPrefix));
    const keys = await redis.keys(`${keyPrefix}:*`);
    if (keys.length > 0) await redis.unlink(...keys);
  });

  afterAll(() => {
    client.close();
    proxy.close();
  });

  const loseRedis = () => {
    proxy.set({ refuse: true });
    client.close();
  };

  const answerFrom: ClientsUnderTest["answerFrom"] = async (source) => {
    switch (source) {
      case "redis":
        proxy.heal();
        await calls.clear();
        // The next call connects at once, instead of when the connection has been renewed.
        client.close();
        return documents.mirrorAll();
      case "firestore":
        return loseRedis();
      case "neither":
        loseRedis();
        // Firestore's client does not retry these, so that nothing goes on when the case is over.
        return calls.set({ status: "ABORTED" });
      case "unknown":
        // The first decision of a client also adds its counts to Redis. The replies must pass before any is cut, as a new
        // connection could not be made without replies.
        for (let i = 0; i < 2; i++) await client.limiter.check("open", randomUUID(), { peek: true });
        proxy.set({ replies: "cut" });
        return calls.set({ status: "DEADLINE_EXCEEDED", at: "answer", methods: ["Commit"] });
    }
  };

  test.each(SESSION_CLIENT_CASES)("sessions: $name", ({ run }) => run({ ...clients, passMs: sleep }));

  test.each(QUOTA_CLIENT_CASES)("quotas: $name", ({ run }) => run(clients));

  test.each(LIMITER_CLIENT_CASES)("limiter: $name", ({ run }) => run(clients.limiter, Date.now));

  test.each(OUTAGE_CASES)("outages: $name", ({ run }) => run(clients));
});
