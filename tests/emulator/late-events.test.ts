import { setTimeout as sleep } from "node:timers/promises";

import type { CollectionReference, Firestore, WriteResult } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { DeliveryControls } from "../../emulator/firestore/controls.ts";
import { Keys } from "../../functions/src/redis/keys";
import { clean, storedQuota } from "../harness/stored-quota.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

/** Older than this, an event makes no entry; read from apply-snapshot.lua, and waited for in real time. */
const MAX_AGE_TO_CREATE_MS = 60_000;

const { project, redisPort } = testEmulators();
const keys = new Keys("frq");
const deliveries = new DeliveryControls(project.firestoreHost, project.projectId);

let firestore: Firestore;
let redis: Redis;
let providers: CollectionReference;

beforeAll(() => {
  firestore = connectFirestore(project);
  redis = connectRedis(redisPort);
  providers = firestore.collection("providers");
});

afterAll(async () => {
  await deliveries.clear();
  redis.disconnect();
  await firestore.terminate();
});

const entryOf = (id: string) => storedQuota(redis, keys.quota(id));
const versionOf = ({ writeTime }: WriteResult) =>
  writeTime.seconds * 1_000_000 + Math.floor(writeTime.nanoseconds / 1000);

async function mirrored(id: string, write: Promise<WriteResult>): Promise<number> {
  const version = versionOf(await write);
  await waitFor(async () => (await entryOf(id))?.version === version, {
    what: `version ${version} of ${id} in Redis`,
  });
  return version;
}

async function redeliver(id: string, at: number): Promise<void> {
  expect(await deliveries.redeliver(`providers/${id}`, { at })).toBe(1);
  await deliveries.idle();
}

test("an event over 60 s old makes no entry, but updates one of an older version, without giving it more time", async () => {
  const gone = uniquePrefix();
  const behind = uniquePrefix();
  for (const id of [gone, behind]) await mirrored(id, providers.doc(id).set({ aiCallsUsed: 1 }));
  const first = await redis.getBuffer(keys.quota(behind));
  const second: Record<string, number> = {};
  for (const id of [gone, behind])
    second[id] = await mirrored(id, providers.doc(id).update({ aiCallsUsed: 2 }));

  await sleep(MAX_AGE_TO_CREATE_MS + 1000);

  // As if the entry had expired.
  await redis.del(keys.quota(gone));
  await redeliver(gone, 0);
  expect(await redis.exists(keys.quota(gone))).toBe(0);
  await redeliver(gone, 1);
  expect(await redis.exists(keys.quota(gone))).toBe(0);

  // As if the second event had not arrived yet.
  await redis.set(keys.quota(behind), first!);
  await redis.pexpire(keys.quota(behind), 20_000);
  await redeliver(behind, 1);
  expect(await entryOf(behind)).toEqual(clean({ used: 2, limit: 100, version: second[behind]! }));
  expect(await redis.pttl(keys.quota(behind))).toBeLessThanOrEqual(20_000);

  // An event in time does both.
  const third = await mirrored(gone, providers.doc(gone).update({ aiCallsUsed: 3 }));
  expect(await entryOf(gone)).toEqual(clean({ used: 3, limit: 100, version: third }));
}, 300_000);
