import { isDeepStrictEqual } from "node:util";

import type { CollectionReference, Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { DeliveryControls } from "../../emulator/firestore/controls.ts";
import { NO_DOCUMENT, NOT_KNOWN, type StoredQuota } from "../../functions/src/quota/stored-quota";
import { parseServiceConfig } from "../../functions/src/config/config";
import { createLogs } from "../../functions/src/observability/logs";
import { Keys } from "../../functions/src/redis/keys";
import { createServices } from "../../functions/src/services";
import { clean, storedQuota } from "../harness/stored-quota.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const { project, redisPort, output } = testEmulators();
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

afterEach(async () => {
  await deliveries.clear();
  await deliveries.idle();
});

afterAll(async () => {
  redis.disconnect();
  await firestore.terminate();
});

const entryOf = (id: string) => storedQuota(redis, keys.quota(id));
/** The version of a document as a write left it. */
const versionOf = ({ writeTime }: FirebaseFirestore.WriteResult) =>
  writeTime.seconds * 1_000_000 + writeTime.nanoseconds / 1000;
/** The version that remains of a deleted document: one microsecond above its last. */
const versionAfter = (written: FirebaseFirestore.WriteResult) => versionOf(written) + 1;
/** Waits until an entry is as the last write left the document. */
const mirrored = (id: string, version: number) =>
  waitFor(async () => (await entryOf(id))?.version === version, {
    what: `version ${version} of ${id} in Redis`,
  });

test("the mirror's probe sees a change of the command line's arrive", async () => {
  const id = uniquePrefix();
  await providers.doc(id).set({ aiCallsUsed: 3, aiCallsLimit: 50 });
  const config = parseServiceConfig({
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redisPort),
    REDIS_TIMEOUT_MS: "2000",
  });
  const services = createServices(
    config,
    () => firestore,
    createLogs(() => {}),
  );
  expect(await services.quotaInspector.probeMirror(id, 20_000)).toBeGreaterThan(0);
  services.close();
  expect((await providers.doc(id).get()).data()).toMatchObject({ aiCallsUsed: 3, aiCallsLimit: 50 });
});

test("a document written to Firestore appears in Redis, changes there, and leaves a tombstone", async () => {
  const id = uniquePrefix();
  const created = await providers.doc(id).set({ aiCallsUsed: 3, aiCallsLimit: 50, type: "lawyer" });
  await mirrored(id, versionOf(created));
  expect(await entryOf(id)).toEqual(clean({ used: 3, limit: 50, version: versionOf(created) }));
  expect(await redis.pttl(keys.quota(id))).toBeGreaterThan(0);

  const updated = await providers.doc(id).update({ aiCallsUsed: 4 });
  await mirrored(id, versionOf(updated));
  expect(await entryOf(id)).toEqual(clean({ used: 4, limit: 50, version: versionOf(updated) }));

  await providers.doc(id).delete();
  await mirrored(id, versionAfter(updated));
  expect(await entryOf(id)).toEqual(clean({ used: 0, limit: NO_DOCUMENT, version: versionAfter(updated) }));
});

test("an id beyond ASCII is the same in Redis, also when its document is deleted", async () => {
  const id = `${uniquePrefix()}-é-律师`;
  const written = await providers.doc(id).set({ aiCallsUsed: 3 });
  await mirrored(id, versionOf(written));
  await providers.doc(id).delete();
  await mirrored(id, versionAfter(written));
});

test("documents of other collections and of subcollections are not mirrored", async () => {
  const id = uniquePrefix();
  await firestore.collection("others").doc(id).set({ aiCallsUsed: 1 });
  await providers.doc(id).collection("calls").doc("c1").set({ aiCallsUsed: 1 });
  const marker = await providers.doc(`${id}-marker`).set({});
  await mirrored(`${id}-marker`, versionOf(marker));
  await deliveries.idle();
  expect(await redis.exists(keys.quota(id), keys.quota("c1"))).toBe(0);
});

test.each([
  [
    "a string",
    { aiCallsUsed: "12" },
    '`aiCallsUsed` to be a whole number, 0 or more, of at most 15 digits; got "12".',
  ],
  [
    "negative",
    { aiCallsUsed: -1 },
    "`aiCallsUsed` to be a whole number, 0 or more, of at most 15 digits; got -1.",
  ],
  [
    "NaN",
    { aiCallsLimit: Number.NaN },
    "`aiCallsLimit` to be a whole number, 0 or more, of at most 15 digits; got NaN.",
  ],
  [
    "a fraction",
    { aiCallsLimit: 1.5 },
    "`aiCallsLimit` to be a whole number, 0 or more, of at most 15 digits; got 1.5.",
  ],
])(
  "a field that becomes %s invalidates the entry and is logged; the next valid one is mirrored",
  async (_, bad, problem) => {
    const id = uniquePrefix();
    await mirrored(id, versionOf(await providers.doc(id).set({ aiCallsUsed: 3, aiCallsLimit: 50 })));
    const broken = await providers.doc(id).update(bad);
    await mirrored(id, versionOf(broken));
    expect(await entryOf(id)).toEqual(clean({ used: 0, limit: NOT_KNOWN, version: versionOf(broken) }));
    const logged = JSON.stringify(problem).slice(1, -1);
    await waitFor(() => output().includes(logged) && output().includes(`providers/${id}`), {
      what: "the log entry",
    });
    const mended = await providers.doc(id).set({ aiCallsUsed: 5, aiCallsLimit: 0 });
    await mirrored(id, versionOf(mended));
    expect(await entryOf(id)).toEqual(clean({ used: 5, limit: 0, version: versionOf(mended) }));
  },
);

test("a document without the fields is mirrored with the defaults", async () => {
  const id = uniquePrefix();
  const created = await providers.doc(id).set({ type: "helper" });
  await mirrored(id, versionOf(created));
  expect(await entryOf(id)).toEqual(clean({ used: 0, limit: 100, version: versionOf(created) }));
});

/** Changes documents at random, and returns what each entry must be once all events have arrived. */
async function changeAtRandom(documents: number, changes: number): Promise<Map<string, StoredQuota>> {
  const prefix = uniquePrefix();
  const expected = new Map<string, StoredQuota>();
  for (let i = 0; i < changes; i++) {
    await Promise.all(
      Array.from({ length: documents }, async (_, d) => {
        const id = `${prefix}-${d}`;
        const choice = (i * 7 + d * 3) % 5;
        if (choice === 4) {
          await providers.doc(id).delete();
          const before = expected.get(id);
          // Deleting what is not there is no change.
          if (before && before.limit !== NO_DOCUMENT)
            expected.set(id, clean({ used: 0, limit: NO_DOCUMENT, version: before.version + 1 }));
        } else {
          const set = await providers.doc(id).set({ aiCallsUsed: i, aiCallsLimit: 10 + d });
          expected.set(id, clean({ used: i, limit: 10 + d, version: versionOf(set) }));
        }
      }),
    );
  }
  return expected;
}

/** Waits until nothing is under way, and looks for entries that are not what Firestore holds. */
async function staleEntries(expected: ReadonlyMap<string, StoredQuota>): Promise<unknown[]> {
  await deliveries.idle();
  const stale = [];
  for (const [id, entry] of expected) {
    const actual = await entryOf(id);
    if (!isDeepStrictEqual(actual, entry)) stale.push({ id, expected: entry, actual });
  }
  return stale;
}

describe("no entry is stale", () => {
  test("when every event is delivered twice", async () => {
    await deliveries.setFaults({ duplicate: 1 });
    const expected = await changeAtRandom(20, 8);
    expect(await staleEntries(expected)).toEqual([]);
    expect((await deliveries.stats()).duplicated).toBeGreaterThanOrEqual(100);
  });

  test("when events overtake each other", async () => {
    await deliveries.setFaults({ reorder: true, delayMs: [0, 300], duplicate: 0.3, seed: 7 });
    const expected = await changeAtRandom(20, 8);
    expect(await staleEntries(expected)).toEqual([]);
    const { delivered, duplicated, failed } = await deliveries.stats();
    expect(duplicated).toBeGreaterThan(20);
    expect(delivered).toBeGreaterThanOrEqual(100 + duplicated);
    expect(failed).toBe(0);
  });

  test("when all events arrive in reverse", async () => {
    await deliveries.hold();
    const expected = await changeAtRandom(20, 6);
    expect(await deliveries.release("reverse")).toBeGreaterThan(80);
    expect(await staleEntries(expected)).toEqual([]);
  });

  test("when old events are delivered again", async () => {
    const expected = await changeAtRandom(5, 4);
    expect(await staleEntries(expected)).toEqual([]);
    for (const id of expected.keys()) {
      for (const at of [0, 1])
        expect(await deliveries.redeliver(`providers/${id}`, { at })).toBeGreaterThan(0);
    }
    expect(await staleEntries(expected)).toEqual([]);
  });

  test("when an event of a deleted document is delivered again", async () => {
    const id = uniquePrefix();
    const created = await providers.doc(id).set({ aiCallsUsed: 1, aiCallsLimit: 50 });
    await mirrored(id, versionOf(created));
    await providers.doc(id).delete();
    await mirrored(id, versionAfter(created));
    expect(await deliveries.redeliver(`providers/${id}`, { at: 0 })).toBeGreaterThan(0);
    await deliveries.idle();
    expect(await entryOf(id)).toEqual(clean({ used: 0, limit: NO_DOCUMENT, version: versionAfter(created) }));
  });

  test("for longer than the TTL when an event is lost", async () => {
    const id = uniquePrefix();
    await mirrored(id, versionOf(await providers.doc(id).set({ aiCallsUsed: 1, aiCallsLimit: 50 })));
    await deliveries.setFaults({ drop: 1 });
    await providers.doc(id).update({ aiCallsUsed: 2 });
    await deliveries.idle();
    expect(await entryOf(id)).toMatchObject({ used: 1 });
    // Time is not waited for: the entry's own TTL is brought to its end.
    expect(await redis.pttl(keys.quota(id))).toBeLessThanOrEqual(300_000);
    await redis.pexpire(keys.quota(id), 1);
    await waitFor(async () => (await redis.exists(keys.quota(id))) === 0, { what: "the entry's end" });
  });
});
