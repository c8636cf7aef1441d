import { Timestamp, type Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { startFirestoreServer, type FirestoreServer } from "../../emulator/firestore/server.ts";
import { RedisConnection } from "../../functions/src/redis/connection";
import { FirestoreSessionStore } from "../../functions/src/session/firestore-session-store";
import { SessionDestroyedError } from "../../functions/src/session/session";
import type { SessionMode } from "../../functions/src/session/session-service";
import { connect } from "../emulator-firestore/firestore-target.ts";
import { shiftClock } from "../harness/held-clock.ts";
import { connectPatiently } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { assembleSessionParts } from "../harness/session-parts.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const TWO_HOURS_MS = 7_200_000;
const MODES: readonly SessionMode[] = ["firestore", "dual-write", "redis-primary"];

process.env["METADATA_SERVER_DETECTION"] = "none";

const RealDate = Date;
let server: FirestoreServer;
let firestore: Firestore;
let wrongClockClient: Firestore | undefined;
let redis: Redis;
let connection: RedisConnection;

beforeAll(async () => {
  // Its clock is that of performance.now(), which the tests leave alone. It has no triggers.
  server = await startFirestoreServer();
  firestore = connectHere();
  redis = connectRedis();
  connection = connectPatiently();
});

afterEach(async () => {
  await wrongClockClient?.terminate();
  wrongClockClient = undefined;
  globalThis.Date = RealDate;
});

afterAll(async () => {
  redis.disconnect();
  connection.close();
  await firestore.terminate();
  await server.close();
});

const connectHere = () => connect(`${server.host}:${server.port}`, "demo-session-clocks");

/** Returns a client for the process: Google's own ends calls in progress when the clock is set. */
function setProcessClock(aheadMs: number): Firestore {
  globalThis.Date = class extends RealDate {
    static override readonly now = () => RealDate.now() + aheadMs;

    constructor(...time: []) {
      super(...((time.length === 0 ? [RealDate.now() + aheadMs] : time) as []));
    }
  } as DateConstructor;
  return (wrongClockClient = connectHere());
}

function assemble(mode: SessionMode, redisAheadMs = 0, client = firestore) {
  const parts = assembleSessionParts({
    firestore: client,
    redis: shiftClock(connection, redisAheadMs),
    mode,
  });
  const { collection, keys } = parts;
  return {
    ...parts,
    doc: collection.doc("s1"),
    key: keys.session("s1"),
    documentLeftMs: async () =>
      ((await collection.doc("s1").get()).get("expiresAt") as Timestamp).toMillis() - RealDate.now(),
    changeMode: (to: SessionMode) =>
      assembleSessionParts({
        firestore,
        redis: shiftClock(connection, redisAheadMs),
        mode: to,
        beside: { collection, keys },
      }).service,
  };
}

describe.each(MODES)("in mode %s", (mode) => {
  test.each([TWO_HOURS_MS, -TWO_HOURS_MS])(
    "a process whose clock is %i ms ahead sets, touches and destroys sessions as any other",
    async (aheadMs) => {
      const client = setProcessClock(aheadMs);
      const { service, key, documentLeftMs, changeMode } = assemble(mode, 0, client);
      const expectLeft = async (ttlMs: number) => {
        const left = [
          ...(mode === "firestore" ? [] : [await redis.pttl(key)]),
          ...(mode === "redis-primary" ? [] : [await documentLeftMs()]),
        ];
        for (const ms of left) {
          expect(ms).toBeLessThanOrEqual(ttlMs + 1000);
          expect(ms).toBeGreaterThan(ttlMs - 30_000);
        }
      };
      for (const ttlSeconds of [100, 200, 300]) {
        await service.set("s1", { ttlSeconds }, { ttlSeconds });
        expect((await service.get("s1"))?.data).toEqual({ ttlSeconds });
        await expectLeft(ttlSeconds * 1000);
      }
      expect(await service.touch("s1", { ttlSeconds: 2000 })).toBe(true);
      await expectLeft(2_000_000);
      await service.destroy("s1");
      expect(await service.get("s1")).toBeUndefined();
      await expect(service.set("s1", {})).rejects.toThrow(SessionDestroyedError);
      await expectLeft(3_660_000);
      globalThis.Date = RealDate;
      for (const other of MODES) {
        const after = changeMode(other);
        expect(await after.get("s1")).toBeUndefined();
        expect(await after.touch("s1")).toBe(false);
      }
    },
  );

  test("a first destroy by a process whose clock is behind is remembered for as long as any other", async () => {
    if (mode === "redis-primary") return;
    const { service, documentLeftMs } = assemble(mode, 0, setProcessClock(-TWO_HOURS_MS));
    await service.destroy("s1");
    expect(await documentLeftMs()).toBeGreaterThan(3_630_000);
  });
});

test("after the process was suspended, sessions are set and destroyed by Firestore's time", async () => {
  const later = await startFirestoreServer({ clockOffsetMs: TWO_HOURS_MS });
  let current = firestore;
  const store = new FirestoreSessionStore(
    () => current,
    { collectionPath: uniquePrefix(), ttlSeconds: 3600 },
    recordLogs().logs,
  );
  await store.set("s1", {}, 60_000);
  setProcessClock(TWO_HOURS_MS);
  current = connect(`${later.host}:${later.port}`, "demo-session-clocks");
  try {
    await store.set("s2", {}, 60_000, "no document");
    expect(await store.read("s2")).toMatchObject({ state: { data: {} } });
  } finally {
    await current.terminate();
    await later.close();
  }
});

describe.each([2000, -2000, 3_600_000, -3_600_000])(
  "with Redis's clock %i ms ahead of Firestore's",
  (aheadMs) => {
    test("a session shorter than the difference is found", async () => {
      const { service } = assemble("dual-write", aheadMs);
      await service.set("s1", { n: 1 }, { ttlSeconds: 30 });
      expect((await service.get("s1"))?.data).toEqual({ n: 1 });
      expect((await service.get("s1"))?.data).toEqual({ n: 1 });
    });

    test("after a change from redis-primary, a set replaces the session and a destroy ends it", async () => {
      const { service, changeMode, key } = assemble("redis-primary", aheadMs);
      await service.set("s1", { n: 1 });
      const dualWrite = changeMode("dual-write");
      await dualWrite.set("s1", { n: 2 });
      expect((await dualWrite.get("s1"))?.data).toEqual({ n: 2 });
      await service.set("s1", { n: 3 });
      await dualWrite.destroy("s1");
      expect(await dualWrite.get("s1")).toBeUndefined();
      expect(await service.get("s1")).toBeUndefined();
      expect(await dualWrite.touch("s1")).toBe(false);
      expect(await redis.exists(key)).toBe(1);
    });

    test("after a destroy in redis-primary, no event of before brings the session back", async () => {
      const { service, changeMode, doc, mirror } = assemble("redis-primary", aheadMs);
      const dualWrite = changeMode("dual-write");
      await dualWrite.set("s1", { n: 1 });
      const set = await doc.get();
      await service.destroy("s1");
      await mirror.mirror({
        sessionId: "s1",
        before: undefined,
        after: set.data(),
        version: RealDate.now() * 1000 + 1_000_000,
        asOfMs: set.updateTime!.toMillis(),
      });
      expect(await service.get("s1")).toBeUndefined();
      expect(await dualWrite.get("s1")).toBeUndefined();
    });
  },
);
