import { Timestamp, type Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { startFirestoreServer, type FirestoreServer } from "../../emulator/firestore/server.ts";
import { FirestoreUnavailableError } from "../../functions/src/firestore";
import { RedisConnection } from "../../functions/src/redis/connection";
import {
  SessionDestroyedError,
  SessionStillCachedError,
  SessionUnavailableError,
} from "../../functions/src/session/session";
import { startFaultProxy } from "../harness/fault-proxy.ts";
import { connectPatiently } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { assembleSessionParts, type SessionPartsOptions } from "../harness/session-parts.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis } from "../harness/test-redis.ts";

const { project, redisPort } = testEmulators();
let server: FirestoreServer;
let firestore: Firestore;
let redis: Redis;
let connection: RedisConnection;

beforeAll(async () => {
  // A stand-in of its own, without triggers: nothing but the service tells Redis.
  server = await startFirestoreServer();
  firestore = connectFirestore(project, `127.0.0.1:${server.port}`);
  redis = connectRedis(redisPort);
  connection = connectPatiently(redisPort);
});

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(async () => {
  redis.disconnect();
  connection.close();
  await firestore.terminate();
  await server.close();
});

function assemble(options: Partial<SessionPartsOptions> = {}) {
  const parts = assembleSessionParts({ firestore, redis: connection, ...options });
  const { collection, keys } = parts;
  return {
    ...parts,
    doc: collection.doc("s1"),
    key: keys.session("s1"),
    expiresInMs: async () =>
      ((await collection.doc("s1").get()).get("expiresAt") as Timestamp).toMillis() - Date.now(),
    beside: (other: Partial<SessionPartsOptions>) =>
      assemble({ ...options, beside: { collection, keys }, ...other }),
  };
}

function deadRedis(): RedisConnection {
  const dead = new RedisConnection({ host: "127.0.0.1", port: 1, timeoutMs: 200 }, recordLogs().logs);
  closing.push(() => dead.close());
  return dead;
}

const CART = { uid: "u1", cart: [{ sku: "a", n: 2 }] };

describe.each(["firestore", "dual-write", "redis-primary"] as const)("in mode %s", (mode) => {
  test("a session is set, found, replaced, touched and destroyed for good", async () => {
    const { service } = assemble({ mode });
    const source = mode === "firestore" ? "firestore" : "redis";
    expect(await service.get("s1")).toBeUndefined();
    expect(await service.touch("s1")).toBe(false);
    await service.set("s1", CART);
    expect(await service.get("s1")).toEqual({ data: CART, source });
    await service.set("s1", { other: 1 });
    expect(await service.get("s1")).toEqual({ data: { other: 1 }, source });
    expect(await service.touch("s1")).toBe(true);
    await service.destroy("s1");
    expect(await service.get("s1")).toBeUndefined();
    expect(await service.touch("s1")).toBe(false);
    await expect(service.set("s1", CART)).rejects.toThrow(SessionDestroyedError);
    expect(await service.get("s1")).toBeUndefined();
    await service.destroy("s1");
  });

  test("bad arguments reject, and nothing is written", async () => {
    const { service, doc, key } = assemble({ mode });
    await expect(service.get("a/b")).rejects.toThrow(/`sessionId` to be .*; got a string of 3 characters\.$/);
    await expect(service.set("s1", { a: undefined } as never)).rejects.toThrow(
      "Expected `data.a` to be a JSON value; got undefined.",
    );
    await expect(service.set("s1", { a: "x".repeat(70_000) })).rejects.toThrow(
      "Expected `data` to be at most 65536 bytes of JSON; got 70008 bytes.",
    );
    await expect(service.set("s1", {}, { ttlSeconds: 0 })).rejects.toThrow(/`ttlSeconds` to be .*; got 0\.$/);
    expect((await doc.get()).exists).toBe(false);
    expect(await redis.exists(key)).toBe(0);
  });
});

describe("in mode dual-write", () => {
  test("what is set is in both stores, expires in both, and a change of the caller's object does no harm", async () => {
    const { service, doc, key, expiresInMs } = assemble();
    const data = { list: [1] };
    const setting = service.set("s1", data, { ttlSeconds: 100 });
    data.list.push(2);
    await setting;
    expect((await doc.get()).get("data")).toEqual({ list: [1] });
    expect(await service.get("s1")).toEqual({ data: { list: [1] }, source: "redis" });
    for (const leftMs of [await redis.pttl(key), await expiresInMs()]) {
      expect(leftMs).toBeGreaterThan(95_000);
      expect(leftMs).toBeLessThanOrEqual(100_000);
    }
  });

  test("a set that knows the document costs one write and no read", async () => {
    const { service, firestoreStore } = assemble();
    await service.set("s1", CART);
    const change = jest.spyOn(firestoreStore as unknown as { change(): unknown }, "change");
    for (let i = 0; i < 3; i++) await service.set("s1", { i });
    expect(change).not.toHaveBeenCalled();
  });

  test("a miss is answered by Firestore and fills Redis", async () => {
    const { service, key } = assemble();
    await service.set("s1", CART);
    await redis.del(key);
    expect(await service.get("s1")).toEqual({ data: CART, source: "firestore" });
    expect(await service.get("s1")).toEqual({ data: CART, source: "redis" });
  });

  test("what has expired, or is no session, is none", async () => {
    const { service, doc, key, recorded } = assemble();
    await doc.set({ data: CART, expiresAt: Timestamp.fromMillis(Date.now() - 1) });
    expect(await service.get("s1")).toBeUndefined();
    await redis.del(key);
    await doc.set({ data: { at: Timestamp.now() }, expiresAt: Timestamp.fromMillis(Date.now() + 60_000) });
    expect(await service.get("s1")).toBeUndefined();
    expect(recorded.entries).toMatchObject([
      {
        event: "session_document_invalid",
        problem: "Expected `data.at` to be a JSON value; got an instance of Timestamp.",
      },
    ]);
    expect(JSON.stringify(recorded.entries)).not.toContain("s1");
    await service.set("s1", CART);
    expect(await service.get("s1")).toMatchObject({ data: CART });
  });

  test("touches go to Firestore only when less than half of the life is left there", async () => {
    const { service, doc, key, expiresInMs } = assemble();
    await service.set("s1", CART, { ttlSeconds: 2000 });
    const { updateTime } = await doc.get();
    await service.touch("s1", { ttlSeconds: 3600 });
    expect(await redis.pttl(key)).toBeGreaterThan(3_590_000);
    expect((await doc.get()).updateTime).toEqual(updateTime);
    await service.touch("s1", { ttlSeconds: 7200 });
    expect(await expiresInMs()).toBeGreaterThan(7_190_000);
    await service.touch("s1", { ttlSeconds: 10 });
    expect(await redis.pttl(key)).toBeGreaterThan(7_190_000);
    expect(await service.get("s1")).toEqual({ data: CART, source: "redis" });
  });

  test("a touch that Redis misses prolongs the session there too", async () => {
    const { service, key } = assemble();
    await service.set("s1", CART, { ttlSeconds: 2000 });
    await redis.del(key);
    expect(await service.touch("s1", { ttlSeconds: 3600 })).toBe(true);
    expect(await redis.pttl(key)).toBeGreaterThan(3_590_000);
  });

  test("a deletion whose event was lost is noticed by the touch that reads Firestore", async () => {
    const { service, doc } = assemble();
    await service.set("s1", CART, { ttlSeconds: 100 });
    await doc.delete();
    expect(await service.touch("s1", { ttlSeconds: 3600 })).toBe(false);
    expect(await service.get("s1")).toBeUndefined();
  });

  test("without Redis, Firestore answers", async () => {
    const { service, recorded } = assemble({ redis: deadRedis() });
    await service.set("s1", CART);
    expect(await service.get("s1")).toEqual({ data: CART, source: "firestore" });
    expect(await service.touch("s1")).toBe(true);
    expect(recorded.events()).toContain("session_cache_bypassed");
  });

  test("a destroy that cannot tell Redis says so, has destroyed the document, and can be repeated", async () => {
    const { service, doc, beside } = assemble();
    await service.set("s1", CART);
    await expect(beside({ redis: deadRedis() }).service.destroy("s1")).rejects.toThrow(
      SessionStillCachedError,
    );
    expect((await doc.get()).data()).toMatchObject({ destroyed: true });
    expect((await doc.get()).get("data")).toBeUndefined();
    expect(await service.get("s1")).toMatchObject({ source: "redis" });
    await service.destroy("s1");
    expect(await service.get("s1")).toBeUndefined();
  });

  test("a request that was under way during a destroy cannot bring the session back, whatever Redis has lost", async () => {
    const { service, key } = assemble();
    await service.set("s1", CART);
    await service.destroy("s1");
    await redis.del(key);
    await expect(service.set("s1", CART)).rejects.toThrow(SessionDestroyedError);
    expect(await service.touch("s1")).toBe(false);
    expect(await service.get("s1")).toBeUndefined();
  });

  test("when Firestore hangs, Redis answers what it holds, and the rest fails within the time limit", async () => {
    const proxy = await startFaultProxy(server.port);
    proxy.set({ requests: "stall" });
    const hanging = connectFirestore(project, `127.0.0.1:${proxy.port}`);
    closing.push(async () => {
      proxy.heal();
      await hanging.terminate().catch(() => undefined);
      proxy.close();
    });
    const parts = assemble();
    await parts.service.set("s1", CART, { ttlSeconds: 100 });
    const { service, recorded } = parts.beside({ firestore: hanging, firestoreTimeoutMs: 300 });
    expect(await service.get("s1")).toMatchObject({ source: "redis" });
    expect(await service.touch("s1")).toBe(true);
    expect(await redis.pttl(parts.key)).toBeGreaterThan(3_590_000);
    await expect(service.get("other")).rejects.toThrow(FirestoreUnavailableError);
    expect(JSON.stringify(recorded.entries)).not.toContain("other");
  });
});

describe("in mode redis-primary", () => {
  test("Firestore is not touched, and a destroy leaves no document", async () => {
    const { service, doc } = assemble({ mode: "redis-primary" });
    await service.set("s1", CART);
    expect((await doc.get()).exists).toBe(false);
    await service.destroy("s1");
    expect((await doc.get()).exists).toBe(false);
  });

  test("without Redis, every call says that there is no answer", async () => {
    const { service } = assemble({ mode: "redis-primary", redis: deadRedis() });
    for (const call of [
      service.get("s1"),
      service.set("s1", CART),
      service.touch("s1"),
      service.destroy("s1"),
    ])
      await expect(call).rejects.toThrow(SessionUnavailableError);
  });

  test("nobody is signed out by a change from dual-write and back, and newer data is not lost", async () => {
    const dual = assemble();
    await dual.service.set("s1", CART);
    const primary = dual.beside({ mode: "redis-primary" });
    expect(await primary.service.get("s1")).toEqual({ data: CART, source: "redis" });
    await primary.service.set("s1", { newer: true });
    expect(await dual.service.get("s1")).toEqual({ data: { newer: true }, source: "redis" });
    expect(await dual.service.touch("s1")).toBe(true);
    expect((await dual.doc.get()).get("data")).toEqual({ newer: true });
    expect(await dual.service.get("s1")).toEqual({ data: { newer: true }, source: "redis" });
  });

  test("what it destroys stays destroyed when Firestore decides again", async () => {
    const dual = assemble();
    await dual.service.set("s1", CART);
    await dual.beside({ mode: "redis-primary" }).service.destroy("s1");
    expect(await dual.beside({ mode: "firestore" }).service.get("s1")).toBeUndefined();
  });
});
