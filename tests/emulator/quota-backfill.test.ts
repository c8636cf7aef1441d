import type { Firestore } from "@google-cloud/firestore";

import type { Context } from "../../functions/src/context";
import { backfillQuotas, type BackfillTasks } from "../../functions/src/handlers/backfill-quotas";
import { QuotaBackfill } from "../../functions/src/quota/quota-backfill";
import { RedisConnection } from "../../functions/src/redis/connection";
import { connectPatiently } from "../harness/patience.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis } from "../harness/test-redis.ts";

const { project, redisPort } = testEmulators();
const FIELDS = { usedField: "aiCallsUsed", limitField: "aiCallsLimit", defaultLimit: 100 };

let firestore: Firestore;
let connection: RedisConnection;

beforeAll(() => {
  firestore = connectFirestore(project);
  connection = connectPatiently(redisPort);
});

afterAll(async () => {
  connection.close();
  await firestore.terminate();
});

async function seeded(documents: number) {
  const parts = assembleQuotaParts({ firestore, redis: connection });
  const writer = firestore.bulkWriter({ throttling: false });
  for (let i = 0; i < documents; i++)
    void writer.set(parts.collection.doc(`p${i}`), { aiCallsUsed: i, aiCallsLimit: 9999 });
  await writer.close();
  const { logs, entries } = recordLogs();
  const backfill = new QuotaBackfill(() => firestore, parts.collection.id, FIELDS, parts.redisStore, logs);
  return { ...parts, backfill, entries };
}

test("every document is read once, page by page, and the cost is logged first", async () => {
  const { backfill, entries, redisStore } = await seeded(1201);
  const { progress, done } = await backfill.goOn(await backfill.begin("run"), {
    deadlineMs: Date.now() + 60_000,
  });
  expect({ done, ...progress }).toMatchObject({ done: true, documents: 1201, mirrored: 1201, invalid: 0 });
  expect(entries[0]).toMatchObject({ event: "backfill_planned", documents: 1201, reads: 1203 });
  const pages = entries.filter(({ event }) => event === "backfill_progressed");
  expect(pages.map((page) => page["mirrored"])).toEqual([500, 1000, 1201, 1201]);
  for (const i of [0, 1, 500, 999, 1200]) {
    expect(await redisStore.read(`p${i}`)).toEqual({ kind: "snapshot", quota: { used: i, limit: 9999 } });
  }
});

test("what a backfill brings never replaces anything newer, and an invalid document is counted apart", async () => {
  const { backfill, collection, redisStore, mirror } = await seeded(3);
  const { writeTime } = await collection.doc("p1").update({ aiCallsUsed: 77 });
  const version = writeTime.seconds * 1_000_000 + writeTime.nanoseconds / 1000;
  const data = { aiCallsUsed: 78, aiCallsLimit: 9999 };
  await mirror.mirror({
    providerId: "p1",
    path: "",
    data,
    version: version + 1,
    created: 0,
    asOfMs: Date.now(),
  });
  await collection.doc("p2").update({ aiCallsUsed: "broken" });
  const { progress } = await backfill.goOn(await backfill.begin("run"), { deadlineMs: Date.now() + 60_000 });
  expect(progress).toMatchObject({ mirrored: 2, invalid: 1 });
  expect(await redisStore.read("p1")).toMatchObject({ quota: { used: 78 } });
  expect(await redisStore.read("p2")).toMatchObject({ kind: "miss" });
});

describe("as a chain of tasks", () => {
  /** A queue that runs each task as soon as it is enqueued, once per id, with the data as JSON like the real one. */
  function chain(contextOf: () => Context, timeoutSeconds: number) {
    const ids: string[] = [];
    const reports: [string, string][] = [];
    const tasks: BackfillTasks = {
      async enqueue(data, taskId) {
        if (ids.includes(taskId)) return;
        ids.push(taskId);
        await backfillQuotas(JSON.parse(JSON.stringify(data)), timeoutSeconds, tasks, contextOf);
      },
      report(state, message) {
        reports.push([state, message]);
        return Promise.resolve();
      },
    };
    return { ids, reports, run: () => backfillQuotas(undefined, timeoutSeconds, tasks, contextOf) };
  }
  const contextOf = (quotaBackfill: QuotaBackfill, backfillOnInstall: boolean) => () =>
    ({ quotaBackfill, config: { backfillOnInstall } }) as unknown as Context;

  test("each part goes on where the one before stopped, to the end", async () => {
    const { backfill, redisStore } = await seeded(1100);
    // A time limit below the margin: each task does one page.
    const { ids, reports, run } = chain(contextOf(backfill, true), 0);
    await run();
    expect(ids.map((id) => id.split("-").at(-1))).toEqual(["500", "1000", "1100"]);
    expect(reports[0]).toEqual([
      "PROCESSING_COMPLETE",
      "1100 documents are in Redis; 1100 are in Firestore now.",
    ]);
    expect(await redisStore.read("p1099")).toMatchObject({ kind: "snapshot" });
  });

  test("nothing is read unless the installation asks for it", async () => {
    const { backfill, entries } = await seeded(1);
    const { reports, run } = chain(contextOf(backfill, false), 540);
    await run();
    expect(entries).toEqual([]);
    expect(reports).toEqual([["NONE", expect.stringContaining("first checked")]]);
  });
});

test("reconciling a sample finds and mends what was missed, and leaves the rest", async () => {
  const { collection, redisStore, firestoreStore, sync, recorded, keys } = await seeded(5);
  for (let i = 0; i < 5; i++) await redisStore.apply(`p${i}`, await firestoreStore.read(`p${i}`));
  await collection.doc("p1").update({ aiCallsUsed: 500 });
  await collection.doc("p2").delete();
  // A younger change may still be on its way; time is not waited for, the entry is made to have missed an old one.
  expect((await sync.reconcile(100)).drifted).toBe(1);
  expect(await redisStore.read("p2")).toEqual({ kind: "tombstone", used: 0 });
  expect(await redisStore.read("p1")).toMatchObject({ quota: { used: 1 } });
  expect(recorded.entries).toContainEqual(
    expect.objectContaining({ event: "quota_drift", providerId: "p2" }),
  );
  expect(await redisStore.read("p3")).toMatchObject({ quota: { used: 3 } });
  expect(keys.providerOf(keys.quota("a}:q:b"))).toBe("a}:q:b");
});

test("samples reach every entry, whatever else is in Redis", async () => {
  const { redisStore, keys } = await seeded(0);
  const redis = connectRedis(redisPort);
  const ids = Array.from({ length: 1000 }, (_, i) => `p${i}`);
  const snapshot = { quota: { used: 1, limit: 2 }, version: 1, created: 0, marker: 0, asOfMs: Date.now() };
  await Promise.all(ids.map((id) => redisStore.apply(id, snapshot)));
  await redis.set(`${keys.blocks(0, "by-subject")}:x}:q:p1`, 1);
  const reached = new Set<string>();
  for (let i = 0; i < 1000 && reached.size < ids.length; i++) {
    for (const { providerId } of (await redisStore.sample(100)).entries) reached.add(providerId);
  }
  redis.disconnect();
  expect([...reached].sort()).toEqual([...ids].sort());
}, 120_000);
