import type { Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { mirrorQuota } from "../../functions/src/handlers/mirror-quota";
import { FirestoreUnavailableError } from "../../functions/src/firestore";
import type { QuotaMirror } from "../../functions/src/quota/quota-mirror";
import { NOT_KNOWN } from "../../functions/src/quota/stored-quota";
import { RedisConnection } from "../../functions/src/redis/connection";
import type { Context } from "../../functions/src/context";
import { startFaultProxy } from "../harness/fault-proxy.ts";
import { connectPatiently } from "../harness/patience.ts";
import { assembleQuotaParts, type QuotaPartsOptions } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { storedQuota } from "../harness/stored-quota.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis } from "../harness/test-redis.ts";

const { project, redisPort } = testEmulators();
let firestore: Firestore;
let redis: Redis;
let connection: RedisConnection;

beforeAll(() => {
  firestore = connectFirestore(project);
  redis = connectRedis(redisPort);
  connection = connectPatiently(redisPort);
});

afterAll(async () => {
  redis.disconnect();
  connection.close();
  await firestore.terminate();
});

/** The product's parts, with the Firestore reads counted. */
function assemble(options: Partial<QuotaPartsOptions> = {}) {
  const parts = assembleQuotaParts({ firestore, redis: connection, ...options });
  return { ...parts, reads: jest.spyOn(parts.firestoreStore, "read") };
}

test("a miss reads Firestore and fills Redis; the next check is answered by Redis alone", async () => {
  const { collection, service, reads } = assemble();
  await collection.doc("p1").set({ aiCallsUsed: 3, aiCallsLimit: 50 });
  const status = { hasQuota: true, used: 3, limit: 50, remaining: 47, found: true };
  expect(await service.check("p1")).toEqual({ ...status, source: "firestore" });
  expect(await service.check("p1")).toEqual({ ...status, source: "redis" });
  expect(reads).toHaveBeenCalledTimes(1);
});

test("any number of checks that miss at once share one Firestore read", async () => {
  const { collection, service, reads } = assemble();
  await collection.doc("p1").set({ aiCallsUsed: 3, aiCallsLimit: 50 });
  const checks = await Promise.all(Array.from({ length: 50 }, () => service.check("p1")));
  expect(new Set(checks.map(({ used }) => used))).toEqual(new Set([3]));
  expect(reads).toHaveBeenCalledTimes(1);
});

test("a provider without a document is remembered too, and seen when it is created", async () => {
  const { collection, service, mirror, reads } = assemble();
  const missing = { hasQuota: true, used: 0, limit: 100, remaining: 100, found: false };
  expect(await service.check("nobody")).toEqual({ ...missing, source: "firestore" });
  expect(await service.check("nobody")).toEqual({ ...missing, source: "redis" });
  expect(reads).toHaveBeenCalledTimes(1);
  await changeAndMirror(mirror, collection.doc("nobody"), (doc) =>
    doc.create({ aiCallsUsed: 1, aiCallsLimit: 2 }),
  );
  expect(await service.check("nobody")).toMatchObject({ used: 1, found: true, source: "redis" });
});

test("MISSING_PROVIDER deny gives a provider without a document no quota", async () => {
  const { service } = assemble({ missingProvider: "deny" });
  for (const source of ["firestore", "redis"]) {
    expect(await service.check("nobody")).toMatchObject({
      hasQuota: false,
      remaining: 0,
      found: false,
      source,
    });
  }
});

test("a document without a valid quota is an error that names the field, and nothing is stored", async () => {
  const { collection, service, keys } = assemble();
  await collection.doc("p1").set({ aiCallsUsed: "12", aiCallsLimit: 50 });
  await expect(service.check("p1")).rejects.toThrow(
    'Expected `aiCallsUsed` to be a whole number, 0 or more, of at most 15 digits; got "12".',
  );
  expect(await redis.exists(keys.quota("p1"))).toBe(0);
});

test("without Redis each check is answered from Firestore", async () => {
  const dead = new RedisConnection({ host: "127.0.0.1", port: 1, timeoutMs: 200 }, recordLogs().logs);
  const { collection, service, recorded } = assemble({ redis: dead });
  await collection.doc("p1").set({ aiCallsUsed: 3, aiCallsLimit: 3 });
  for (let i = 0; i < 2; i++) {
    expect(await service.check("p1")).toMatchObject({ hasQuota: false, used: 3, source: "firestore" });
  }
  expect(recorded.events()).toContain("quota_cache_bypassed");
  dead.close();
});

test("when Firestore does not answer either, the caller is told within the time limit", async () => {
  const proxy = await startFaultProxy(project.ports.firestore);
  proxy.set({ requests: "stall" });
  const hanging = connectFirestore(project, `127.0.0.1:${proxy.port}`);
  const { service, recorded } = assemble({ firestore: hanging, firestoreTimeoutMs: 300 });
  const start = performance.now();
  await expect(service.check("p1")).rejects.toThrow(FirestoreUnavailableError);
  expect(performance.now() - start).toBeLessThan(2000);
  expect(recorded.events()).toEqual(["firestore_unavailable"]);
  proxy.heal();
  await hanging.terminate();
  proxy.close();
});

test("a reader that is overtaken by a change does not leave the old quota behind", async () => {
  for (const onChange of ["update", "invalidate"] as const) {
    const { collection, service, mirror, redisStore, firestoreStore } = assemble({ onChange });
    const doc = collection.doc("p1");
    await doc.set({ aiCallsUsed: 1, aiCallsLimit: 50 });
    const overtaken = await firestoreStore.read("p1");
    await changeAndMirror(mirror, doc, () => doc.update({ aiCallsUsed: 2 }));
    expect(await redisStore.apply("p1", overtaken)).toBe("superseded");
    expect(await service.check("p1")).toMatchObject({ used: 2 });
  }
});

test("with ON_CHANGE invalidate a change makes the next check read Firestore", async () => {
  const { collection, service, mirror, reads } = assemble({ onChange: "invalidate" });
  const doc = collection.doc("p1");
  await changeAndMirror(mirror, doc, () => doc.set({ aiCallsUsed: 1, aiCallsLimit: 50 }));
  expect(await service.check("p1")).toMatchObject({ used: 1, source: "firestore" });
  expect(await service.check("p1")).toMatchObject({ used: 1, source: "redis" });
  await changeAndMirror(mirror, doc, () => doc.update({ aiCallsUsed: 2 }));
  expect(await service.check("p1")).toMatchObject({ used: 2, source: "firestore" });
  await changeAndMirror(mirror, doc, () => doc.delete());
  expect(await service.check("p1")).toMatchObject({ found: false, source: "redis" });
  expect(reads).toHaveBeenCalledTimes(2);
});

test("a change to an invalid quota is logged and invalidates the old one", async () => {
  const { collection, service, mirror, recorded, keys } = assemble();
  const doc = collection.doc("p1");
  await changeAndMirror(mirror, doc, () => doc.set({ aiCallsUsed: 1, aiCallsLimit: 50 }));
  await changeAndMirror(mirror, doc, () => doc.update({ aiCallsUsed: -1 }));
  expect(recorded.entries).toContainEqual(
    expect.objectContaining({
      event: "quota_document_invalid",
      document: `${collection.id}/p1`,
      problem: "Expected `aiCallsUsed` to be a whole number, 0 or more, of at most 15 digits; got -1.",
    }),
  );
  expect(await storedQuota(redis, keys.quota("p1"))).toMatchObject({ used: 0, limit: NOT_KNOWN });
  await expect(service.check("p1")).rejects.toThrow(/`aiCallsUsed` to be .*; got -1\.$/);
  await changeAndMirror(mirror, doc, () => doc.update({ aiCallsUsed: 7 }));
  expect(await service.check("p1")).toMatchObject({ used: 7, source: "redis" });
});

/** Changes a document and gives the change to the deployed handler as its trigger would. */
async function changeAndMirror(
  quotaMirror: QuotaMirror,
  doc: FirebaseFirestore.DocumentReference,
  change: (doc: FirebaseFirestore.DocumentReference) => Promise<FirebaseFirestore.WriteResult>,
): Promise<void> {
  const before = await doc.get();
  const { writeTime } = await change(doc);
  const after = await doc.get();
  const event = { timestamp: writeTime.toDate().toISOString() };
  await mirrorQuota({ before, after }, event, () => ({ quotaMirror }) as unknown as Context);
}
