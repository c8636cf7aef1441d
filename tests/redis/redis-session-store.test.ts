import type { Redis } from "ioredis";

import { RedisConnection, RedisUnavailableError } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { RedisSessionStore, type SnapshotOrigin } from "../../functions/src/session/redis-session-store";
import type { SessionSnapshot } from "../../functions/src/session/session";
import { connectPatiently } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const TTL_SECONDS = 3600;
const TTL_MS = TTL_SECONDS * 1000;
const DESTROYED_MS = TTL_MS + 60_000;

let redis: Redis;
let connection: RedisConnection;
let keys: Keys;
let recorded: ReturnType<typeof recordLogs>;
let store: RedisSessionStore;

beforeAll(() => {
  redis = connectRedis();
  connection = connectPatiently();
});

beforeEach(() => {
  keys = new Keys(uniquePrefix());
  recorded = recordLogs();
  store = new RedisSessionStore(connection, keys, { ttlSeconds: TTL_SECONDS }, recorded.logs);
});

afterAll(() => {
  redis.disconnect();
  connection.close();
});

const T0 = Date.now() * 1000;
const snapshot = (version: number, lifeMs = TTL_MS, asOfMs = Date.now()): SessionSnapshot => ({
  state: { data: { version }, expiresAtMs: Date.now() + lifeMs },
  version: T0 + version,
  asOfMs,
});
const absent = (version: number): SessionSnapshot => ({ ...snapshot(version), state: "absent" });
const destroyed = (version: number): SessionSnapshot => ({ ...snapshot(version), state: "destroyed" });
const leftMs = () => redis.pttl(keys.session("s1"));
const apply = (of: SessionSnapshot, origin: SnapshotOrigin = "event") => store.apply("s1", of, origin);
const dataOf = async () => {
  const entry = await store.read("s1");
  return entry.kind === "session" ? entry.data : entry.kind;
};

describe("snapshots", () => {
  test("one is read as it was applied, and expires when its document does", async () => {
    expect(await store.read("s1")).toEqual({ kind: "miss" });
    expect(await apply(snapshot(1))).toBe("applied");
    expect(await store.read("s1")).toEqual({ kind: "session", data: { version: 1 }, storedVersion: T0 + 1 });
    expect(await leftMs()).toBeGreaterThan(TTL_MS - 1000);
    expect(await leftMs()).toBeLessThanOrEqual(TTL_MS);
  });

  test.each(['{"version":', "5", "null", "[]"])(
    "an entry whose JSON is %s counts as none, is logged without its id, and leaves others alone",
    async (json) => {
      const header = Buffer.alloc(16);
      header.writeDoubleLE(T0);
      await redis.set(keys.session("s1"), Buffer.concat([header, Buffer.from(json)]), "PX", TTL_MS);
      await store.write("s2", { a: 1 }, TTL_MS);
      const [broken, other] = await Promise.all([store.read("s1"), store.read("s2")]);
      expect(broken).toEqual({ kind: "miss" });
      expect(other).toMatchObject({ kind: "session", data: { a: 1 } });
      expect(await store.touch("s1", TTL_MS)).toEqual({ kind: "miss" });
      expect(recorded.events()).toEqual(["session_entry_invalid"]);
      expect(JSON.stringify(recorded.entries)).not.toContain('"s1"');
      expect(await store.write("s1", { a: 2 }, TTL_MS)).toBe(true);
      expect(await dataOf()).toEqual({ a: 2 });
    },
  );

  test("any text comes back as it was", async () => {
    const data = { text: 'é\u0000"\u2028😀', list: [1, null, { a: -1.5 }] };
    await apply({ ...snapshot(1), state: { data, expiresAtMs: Date.now() + TTL_MS } });
    expect(await dataOf()).toEqual(data);
  });

  test("an older one, and the same again, is superseded", async () => {
    await apply(snapshot(2));
    expect(await apply(snapshot(1))).toBe("superseded");
    expect(await apply(snapshot(2))).toBe("superseded");
    expect(await dataOf()).toEqual({ version: 2 });
  });

  test("a destroyed session is not brought back by an older one, and is remembered for longer than the TTL", async () => {
    await apply(snapshot(1));
    expect(await apply(destroyed(3))).toBe("applied");
    expect(await apply(snapshot(2))).toBe("superseded");
    expect(await dataOf()).toBe("destroyed");
    expect(await leftMs()).toBeGreaterThan(DESTROYED_MS - 1000);
  });

  test("that a session was destroyed is remembered for as long as it could have lived, if that is longer", async () => {
    await apply(snapshot(1, 10 * TTL_MS));
    await apply(destroyed(2));
    expect(await leftMs()).toBeGreaterThan(10 * TTL_MS - 1000);
  });

  test("a document that is gone, or has expired, ends the session; a newer one begins it again", async () => {
    await apply(snapshot(1));
    await apply(absent(2));
    expect(await dataOf()).toBe("absent");
    await apply(snapshot(3));
    expect(await dataOf()).toEqual({ version: 3 });
    await apply(snapshot(4, -1));
    expect(await dataOf()).toBe("absent");
  });

  test("one over 60 s old makes no entry, and gives one that it updates no more time", async () => {
    const old = Date.now() - 61_000;
    expect(await apply(snapshot(1, TTL_MS, old))).toBe("late");
    expect(await dataOf()).toBe("miss");
    await apply(snapshot(1, 20_000));
    expect(await apply(snapshot(2, TTL_MS, old))).toBe("applied");
    expect(await dataOf()).toEqual({ version: 2 });
    expect(await leftMs()).toBeLessThanOrEqual(20_000);
  });
});

describe("touches", () => {
  test("prolong a session, never shorten it, and never bring one back", async () => {
    expect(await store.touch("s1", TTL_MS)).toEqual({ kind: "miss" });
    await apply(snapshot(1, 10_000));
    expect(await store.touch("s1", TTL_MS)).toMatchObject({ kind: "touched", unstored: undefined });
    expect(await leftMs()).toBeGreaterThan(TTL_MS - 1000);
    await store.touch("s1", 1000);
    expect(await leftMs()).toBeGreaterThan(TTL_MS - 1000);
    await apply(destroyed(2));
    expect(await store.touch("s1", 10 * TTL_MS)).toEqual({ kind: "none" });
    expect(await dataOf()).toBe("destroyed");
    expect(await leftMs()).toBeLessThanOrEqual(DESTROYED_MS);
  });

  test("tell how long the document has left", async () => {
    await apply(snapshot(1, 10_000));
    const { storedMs } = (await store.touch("s1", TTL_MS)) as { storedMs: number };
    expect(storedMs).toBeGreaterThan(9000);
    expect(storedMs).toBeLessThanOrEqual(10_000);
  });

  test("are kept by a later snapshot that does not bring the expiry forward", async () => {
    await apply(snapshot(1, 10_000));
    await store.touch("s1", TTL_MS);
    await apply(snapshot(2, 20_000));
    expect(await dataOf()).toEqual({ version: 2 });
    expect(await leftMs()).toBeGreaterThan(TTL_MS - 1000);
  });

  test("do not outlast a snapshot that brings the expiry forward, nor a set", async () => {
    await apply(snapshot(1, 10_000));
    await store.touch("s1", TTL_MS);
    await apply(snapshot(2, 5000));
    expect(await leftMs()).toBeLessThanOrEqual(5000);
    await store.touch("s1", TTL_MS);
    const set = snapshot(3, 20_000);
    await apply(set);
    expect(await apply(set, "set")).toBe("applied");
    expect(await leftMs()).toBeLessThanOrEqual(20_000);
  });
});

describe("sessions that Redis alone holds", () => {
  test("are written, touched and destroyed for good", async () => {
    expect(await store.write("s1", { a: 1 }, TTL_MS)).toBe(true);
    expect(await store.read("s1")).toEqual({ kind: "session", data: { a: 1 }, storedVersion: undefined });
    expect(await store.touch("s1", TTL_MS)).toMatchObject({
      kind: "touched",
      storedMs: 0,
      unstored: { data: { a: 1 } },
    });
    await store.destroy("s1");
    expect(await store.write("s1", { a: 2 }, TTL_MS)).toBe(false);
    expect(await dataOf()).toBe("destroyed");
    expect(await leftMs()).toBeGreaterThan(DESTROYED_MS - 1000);
  });

  test("a destroy comes first even where there was nothing yet", async () => {
    await store.destroy("s1");
    expect(await store.write("s1", {}, TTL_MS)).toBe(false);
  });

  test("are newer than every document so far, and older than one that is written now", async () => {
    await apply(snapshot(1));
    await store.write("s1", { own: true }, TTL_MS);
    expect(await apply(snapshot(2))).toBe("superseded");
    expect(await dataOf()).toEqual({ own: true });
    const next = { ...snapshot(3), version: (Date.now() + 1000) * 1000 };
    expect(await apply(next)).toBe("applied");
  });
});

test("a key that holds something else is an error, and stays", async () => {
  await redis.set(keys.session("s1"), "short");
  await expect(apply(snapshot(1))).rejects.toThrow(RedisUnavailableError);
  expect(await redis.get(keys.session("s1"))).toBe("short");
});

test("many sessions are read together, each its own", async () => {
  const ids = Array.from({ length: 100 }, (_, i) => `s${i}`);
  await Promise.all(ids.map((id, i) => store.apply(id, snapshot(i), "event")));
  const entries = await Promise.all(ids.map((id) => store.read(id)));
  expect(entries.map((entry) => entry.kind === "session" && entry.data["version"])).toEqual(
    ids.map((_, i) => i),
  );
});
