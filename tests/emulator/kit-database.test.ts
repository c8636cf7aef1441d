import { existsSync } from "node:fs";

import type { Firestore } from "@google-cloud/firestore";

import { startFirebaseEmulators, type FirebaseEmulators } from "../../emulator/start.ts";
import { Keys } from "../../functions/src/redis/keys";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { callFunction } from "../harness/call-function.ts";
import { processesOfGroup } from "../harness/process-group.ts";
import { signIn } from "../harness/sign-in.ts";
import { storedQuota } from "../harness/stored-quota.ts";
import { connectDatabase, connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const DATABASE = "quotas-eu";
const keys = new Keys("frq");

let redisServer: RedisServer;
let redis: ReturnType<typeof connectRedis>;
let kit: FirebaseEmulators;
let database: Firestore;
let defaultDatabase: Firestore;

beforeAll(async () => {
  redisServer = await startRedis();
  redis = connectRedis(redisServer.port);
  kit = await startFirebaseEmulators({
    form: "kit",
    projectId: "demo-database",
    redisPort: redisServer.port,
    // In a network there is no connector.
    params: { DATABASE, VPC_NETWORK: "default", VPC_CONNECTOR: "", REDIS_TIMEOUT_MS: "2000" },
  });
  database = connectDatabase(kit, DATABASE);
  defaultDatabase = connectFirestore(kit);
}, 300_000);

afterAll(async () => {
  redis.disconnect();
  await database.terminate();
  await defaultDatabase.terminate();
  await kit.stop();
  await redisServer.stop();
});

test("a kit of another database mirrors, counts and falls back there, and leaves the default one alone", async () => {
  const idToken = await signIn(kit, { uid: "p1", claims: { admin: true } });
  const call = (name: string, providerId: string) =>
    callFunction(kit.functionUrl(name), { providerId }, { idToken });

  await defaultDatabase.doc("providers/p2").set({ aiCallsUsed: 1, aiCallsLimit: 2 });
  await database.doc("providers/p1").set({ aiCallsUsed: 3, aiCallsLimit: 7 });
  await waitFor(async () => (await storedQuota(redis, keys.quota("p1")))?.limit === 7, {
    what: "the change of the kit's database",
  });
  expect(await storedQuota(redis, keys.quota("p2"))).toBeUndefined();

  expect(await call("checkQuota", "p2")).toMatchObject({ found: false, source: "firestore" });
  expect(await call("consumeQuota", "p1")).toMatchObject({ allowed: true, used: 4, limit: 7 });
  expect((await database.doc("providers/p1").get()).get("aiCallsUsed")).toBe(4);
});

const onLinux = existsSync("/proc/self/stat") ? test : test.skip;

onLinux("its emulators, which ran beside those of the extension, leave no process behind", async () => {
  expect(processesOfGroup(kit.pid).length).toBeGreaterThan(1);
  await kit.stop();
  expect(processesOfGroup(kit.pid)).toEqual([]);
});
