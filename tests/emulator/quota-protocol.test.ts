import { FieldValue, GrpcStatus, type Firestore } from "@google-cloud/firestore";
import fc from "fast-check";
import { Redis } from "ioredis";

import { startFirestoreServer, type FirestoreServer } from "../../emulator/firestore/server.ts";
import { FirestoreUnavailableError, toVersion } from "../../functions/src/firestore";
import { withDeadline } from "../../functions/src/deadline";
import type { QuotaSnapshot } from "../../functions/src/quota/quota";
import { QuotaOutcomeUnknownError } from "../../functions/src/quota/outcome-errors";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import { RedisConnection } from "../../functions/src/redis/connection";
import { startFaultProxy } from "../harness/fault-proxy.ts";
import { Interleaving, type Fault } from "../harness/interleaving.ts";
import { connectPatiently } from "../harness/patience.ts";
import { assembleQuotaParts, type QuotaPartsOptions } from "../harness/quota-parts.ts";
import { QuotaWorld } from "../harness/quota-world.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { storedQuota } from "../harness/stored-quota.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

/** Set it to what a failed property prints, such as `{"seed":1,"path":"3:1"}`, to have that case again. */
const REPLAY = JSON.parse(process.env["FRQ_REPLAY"] ?? "{}") as { seed?: number; path?: string };
const SEED = REPLAY.seed ?? Date.now() % 2 ** 31;

const { project, redisPort } = testEmulators();
let server: FirestoreServer;
let firestore: Firestore;
let redis: Redis;
let connection: RedisConnection;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

beforeAll(async () => {
  process.stdout.write(`quota-protocol: seed ${SEED}\n`);
  // A stand-in of its own, without triggers: the tests deliver the events, when and as often as they like.
  server = await startFirestoreServer();
  firestore = connectFirestore(project, `127.0.0.1:${server.port}`);
  redis = connectRedis(redisPort);
  connection = connectPatiently(redisPort);
});

afterAll(async () => {
  redis.disconnect();
  connection.close();
  await firestore.terminate();
  await server.close();
});

function connectTo(port: number): RedisConnection {
  const other = connectPatiently(port);
  closing.push(() => other.close());
  return other;
}

/** The provider p1, and instances of the functions around it. */
function assemble(options: Partial<QuotaPartsOptions> = {}) {
  const parts = assembleQuotaParts({ firestore, redis: connection, mode: "redis-primary", ...options });
  const { collection, keys, sync, service, mirror } = parts;
  const doc = collection.doc("p1");
  return {
    ...parts,
    doc,
    consume: (cost = 1, idempotencyKey?: string) => service.consume("p1", { cost, idempotencyKey }),
    refund: (cost = 1) => service.refund("p1", { cost }),
    beginFlush: () => parts.redisStore.beginFlushes(["p1"]),
    syncAll: () => sync.flushAll({ deadlineMs: Date.now() + 20_000 }),
    used: async () => (await doc.get()).get("aiCallsUsed") as unknown,
    entry: () => storedQuota(redis, keys.quota("p1")),
    /** The event of the document's last change. */
    mirrorNow: async () => {
      const current = await doc.get();
      const version = toVersion(current.updateTime ?? current.readTime);
      const created = current.createTime ? toVersion(current.createTime) : 0;
      const change = { providerId: "p1", path: doc.path, data: current.data(), version, created };
      return mirror.mirror({ ...change, asOfMs: Date.now() });
    },
    /** Another instance of the same functions. */
    beside: (other: Partial<QuotaPartsOptions> = {}) =>
      assemble({ ...options, beside: { collection, keys }, ...other }),
  };
}

describe("in every interleaving", () => {
  const CRASHES: readonly Fault[] = ["crash before", "crash after"];
  const LOSSES: readonly Fault[] = ["lost before", "lost after", "unreachable"];

  const delay = fc.nat({ max: 12 });
  const faults = (kinds: readonly Fault[], maxLength: number) =>
    fc
      .uniqueArray(fc.tuple(fc.nat({ max: 7 }), fc.constantFrom(...kinds)), {
        maxLength,
        selector: ([step]) => step,
      })
      .map((entries): ReadonlyMap<number, Fault> => new Map(entries));

  /** A key is known to the store that decided the call; so a repetition must reach the same one. */
  const call = (modes: readonly QuotaMode[], cost: fc.Arbitrary<number>) =>
    fc.oneof(
      fc.record({
        mode: fc.constantFrom(...modes),
        delay,
        cost,
        keyed: fc.constant(false),
        copies: fc.constant(1),
        faults: faults(LOSSES, 2),
      }),
      fc.record({
        mode: fc.constantFrom(...modes),
        delay,
        cost,
        keyed: fc.constant(true),
        copies: fc.integer({ min: 1, max: 2 }),
        faults: faults(["lost before", "lost after"], 2),
      }),
    );

  const INCREMENT = fc.integer({ min: 1, max: 5 }).map((by) => ({ aiCallsUsed: FieldValue.increment(by) }));
  const NEW_LIMIT = fc.integer({ min: 0, max: 30 }).map((limit) => ({ aiCallsLimit: limit }));
  const RESET = fc.integer({ min: 0, max: 3 }).map((used) => ({ aiCallsUsed: used }));
  const CONSUMPTION = fc.integer({ min: 1, max: 4 });
  /** Never more than has been used: what a refund takes back stops at 0, and how much that was is not told. */
  const REFUND = fc.constant(-1);
  const USED_BEFORE = 8;

  const scenario = <Edit>(
    modes: readonly QuotaMode[],
    cost: fc.Arbitrary<number>,
    edit: fc.Arbitrary<Edit>,
  ) =>
    fc.record({
      limit: fc.integer({ min: USED_BEFORE, max: 24 }),
      onChange: fc.constantFrom("update", "invalidate" as const),
      callers: fc.array(call(modes, cost), { minLength: 1, maxLength: 6 }),
      workers: fc.array(
        fc.record({
          delay,
          faults: faults([...CRASHES, ...LOSSES], 1),
          rounds: fc.integer({ min: 1, max: 2 }),
        }),
        { minLength: 2, maxLength: 3 },
      ),
      readers: fc.array(fc.record({ delay, faults: faults(LOSSES, 1) }), { maxLength: 1 }),
      deliveries: fc.array(fc.record({ delay, pick: fc.nat({ max: 9 }) }), { maxLength: 6 }),
      edits: fc.array(fc.record({ delay, edit }), { maxLength: 2 }),
      expiries: fc.array(delay, { maxLength: 3 }),
      order: fc.array(fc.nat({ max: 59 }), { maxLength: 150 }),
    });

  type Scenario =
    ReturnType<typeof scenario<Readonly<Record<string, number | FieldValue>>>> extends fc.Arbitrary<infer S>
      ? S
      : never;

  async function play(planned: Scenario): Promise<void> {
    const interleaving = new Interleaving(planned.order.values());
    const quota = { used: USED_BEFORE, limit: planned.limit };
    const clients = { firestore, connection, redis };
    const world = await QuotaWorld.create(clients, interleaving, quota, planned.onChange);
    planned.callers.forEach((caller, i) => world.startCaller(`caller ${i}`, caller));
    planned.workers.forEach((worker, i) => world.startWorker(`worker ${i}`, worker, worker.rounds));
    planned.readers.forEach((reader, i) => world.startReader(`reader ${i}`, reader));
    planned.deliveries.forEach((delivery, i) => world.startDelivery(`event ${i}`, delivery));
    planned.edits.forEach(({ delay: idle, edit }, i) =>
      world.startEdit(`edit ${i}`, idle, (document) => document.update(edit)),
    );
    planned.expiries.forEach((idle, i) => world.startExpiry(`expiry ${i}`, idle));
    try {
      await world.run();
    } catch (error) {
      const steps = interleaving.trace.join("\n");
      throw new Error(`${(error as Error).message}, after\n${steps}`, { cause: error });
    }
  }

  const holds = (arbitrary: fc.Arbitrary<Scenario>, numRuns: number) =>
    fc.assert(fc.asyncProperty(arbitrary, play), { numRuns, seed: SEED, ...REPLAY });

  test("Redis's decisions are counted exactly, with refunds, faults, edits and late events", async () => {
    const cost = fc.oneof({ weight: 4, arbitrary: CONSUMPTION }, { weight: 1, arbitrary: REFUND });
    await holds(scenario(["redis-primary"], cost, fc.oneof(INCREMENT, NEW_LIMIT)), 100);
  }, 120_000);

  test("a reset discards what the document held at its commit, and nothing else", async () => {
    await holds(scenario(["redis-primary"], CONSUMPTION, fc.oneof(RESET, NEW_LIMIT)), 80);
  }, 120_000);

  test("instances in all three modes at once count exactly", async () => {
    const cost = fc.oneof({ weight: 4, arbitrary: CONSUMPTION }, { weight: 1, arbitrary: REFUND });
    const modes = ["firestore", "dual-write", "redis-primary"] as const;
    await holds(scenario(modes, cost, fc.oneof(INCREMENT, NEW_LIMIT)), 80);
  }, 120_000);
});

describe("flushes", () => {
  test("a worker that wakes after later flushes adds nothing", async () => {
    const { doc, consume, beginFlush, firestoreStore, redisStore, syncAll, used, entry } = assemble();
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await consume(1);
    const stale = await beginFlush();
    await syncAll();
    await consume(2);
    await syncAll();
    await consume(4);
    const underWay = await beginFlush();
    const [outcome] = await firestoreStore.commitFlushes(stale);
    await redisStore.apply("p1", outcome as QuotaSnapshot);
    expect(await used()).toBe(3);
    expect(await entry()).toMatchObject({ inFlight: 4, flushId: underWay[0]!.flushId });
    await syncAll();
    expect(await used()).toBe(7);
  });

  test("two syncs at once flush each provider once", async () => {
    const { collection, service, syncAll, beside } = assemble();
    const ids = Array.from({ length: 60 }, (_, i) => `p${i}`);
    await Promise.all(ids.map((id) => collection.doc(id).set({ aiCallsUsed: 1, aiCallsLimit: 100 })));
    for (const round of [1, 2]) {
      await Promise.all(ids.map((id) => service.consume(id, { cost: 3 })));
      await Promise.all([syncAll(), beside().syncAll(), beside().syncAll()]);
      const documents = await Promise.all(ids.map((id) => collection.doc(id).get()));
      expect(new Set(documents.map((document) => document.get("aiCallsUsed")))).toEqual(
        new Set([1 + 3 * round]),
      );
    }
  });

  test("while Firestore is away usage stays pending, and the next sync brings it", async () => {
    const { doc, consume, beside, syncAll, used, entry } = assemble();
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await consume(5);
    const withoutFirestore = beside({ firestore: clientWithoutAnswer() });
    expect(await withoutFirestore.syncAll()).toMatchObject({ flushed: 0, failed: 1, complete: true });
    expect(withoutFirestore.recorded.events()).toContain("flush_failed");
    expect(await entry()).toMatchObject({ inFlight: 5 });
    await consume(2);
    expect(await syncAll()).toMatchObject({ failed: 0 });
    await syncAll();
    expect(await used()).toBe(7);
  });

  test("a flush makes the document of a provider that had none", async () => {
    const { consume, syncAll, used } = assemble();
    expect(await consume(2)).toMatchObject({ allowed: true, used: 2, limit: 100, found: false });
    expect(await consume(99)).toMatchObject({ allowed: false, used: 2 });
    await syncAll();
    expect(await used()).toBe(2);
    expect(await consume(3)).toMatchObject({ allowed: true, used: 5, found: true });
    await syncAll();
    expect(await used()).toBe(5);
  });

  test("MISSING_PROVIDER deny refuses, and leaves nothing to flush", async () => {
    const { consume, refund, syncAll, used } = assemble({ missingProvider: "deny" });
    expect(await consume()).toMatchObject({ allowed: false, limit: 0, found: false });
    expect(await refund()).toMatchObject({ used: 0 });
    expect(await syncAll()).toMatchObject({ flushed: 0, failed: 0 });
    expect(await used()).toBeUndefined();
  });

  test("refunds never take used below zero, in Redis or in Firestore", async () => {
    const { doc, consume, refund, mirrorNow, syncAll, used } = assemble();
    await doc.set({ aiCallsUsed: 2, aiCallsLimit: 100 });
    expect(await refund(5)).toMatchObject({ allowed: true, used: 0 });
    expect(await consume(1)).toMatchObject({ used: 1 });
    await doc.update({ aiCallsUsed: 0 });
    await mirrorNow();
    expect(await consume(1)).toMatchObject({ used: 1 });
    await syncAll();
    expect(await used()).toBe(1);
  });

  test("a reset while refunds are in flight adds nothing that was not used", async () => {
    const { doc, consume, refund, beginFlush, firestoreStore, mirrorNow, syncAll, used } = assemble();
    await doc.set({ aiCallsUsed: 5, aiCallsLimit: 100 });
    await refund(3);
    const flushes = await beginFlush();
    await consume(2);
    await doc.update({ aiCallsUsed: 0 });
    await mirrorNow();
    await firestoreStore.commitFlushes(flushes);
    await syncAll();
    expect(await used()).toBe(2);
  });

  test.each(["before a flush", "during a flush"])(
    "pending usage dies with its document (%s), also if another takes its place",
    async (when) => {
      const { doc, consume, beginFlush, mirrorNow, syncAll, used, entry } = assemble();
      await doc.set({ aiCallsUsed: 5, aiCallsLimit: 100 });
      await consume(3);
      if (when === "during a flush") await beginFlush();
      await doc.delete();
      await syncAll();
      expect(await used()).toBeUndefined();
      expect(await entry()).toMatchObject({ pending: 0, inFlight: 0 });
      await doc.set({ aiCallsUsed: 1, aiCallsLimit: 100 });
      await mirrorNow();
      await syncAll();
      expect(await used()).toBe(1);
      expect(await consume(1)).toMatchObject({ used: 2 });
    },
  );

  test("with ON_CHANGE invalidate pending usage outlives the invalidation", async () => {
    const { doc, consume, mirrorNow, syncAll, used } = assemble({ onChange: "invalidate" });
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 5 });
    await consume(3);
    await doc.update({ aiCallsLimit: 4 });
    await mirrorNow();
    expect(await consume(2)).toMatchObject({ allowed: false, used: 3, limit: 4 });
    await doc.update({ aiCallsLimit: 9 });
    await mirrorNow();
    await syncAll();
    expect(await used()).toBe(3);
    expect(await consume(6)).toMatchObject({ allowed: true, used: 9 });
  });

  test("usage of a document that has become malformed is kept, and flushed when it is mended", async () => {
    const { doc, consume, mirrorNow, syncAll, used } = assemble();
    await doc.set({ aiCallsUsed: 1, aiCallsLimit: 100 });
    await consume(3);
    await doc.update({ aiCallsUsed: "many" });
    await mirrorNow();
    expect(await syncAll()).toMatchObject({ flushed: 0, failed: 1 });
    await doc.update({ aiCallsUsed: 10 });
    expect(await syncAll()).toMatchObject({ flushed: 1, failed: 0 });
    expect(await used()).toBe(13);
  });
});

describe("unknown outcomes", () => {
  const INCREMENT = "return redis.call('INCR', KEYS[1])";

  /** A key, and a proxy that cuts the next connection on which a script is run. */
  async function prepare() {
    const proxy = await startFaultProxy(redisPort);
    closing.push(() => proxy.close());
    return { proxy, key: uniquePrefix(), cut: () => proxy.cutReplyTo(/evalsha/i) };
  }

  test("with ioredis's defaults a script whose reply is lost runs twice", async () => {
    const { proxy, key, cut } = await prepare();
    const byDefault = new Redis({ host: "127.0.0.1", port: proxy.port });
    closing.push(() => byDefault.disconnect());
    const sha1 = (await byDefault.script("LOAD", INCREMENT)) as string;
    cut();
    // The caller cannot tell: it sees one call and one answer.
    expect(await byDefault.evalsha(sha1, 1, key)).toBe(2);
    expect(await redis.get(key)).toBe("2");
  });

  test("here it runs once", async () => {
    const { proxy, key, cut } = await prepare();
    const through = connectTo(proxy.port);
    const sha1 = (await through.run((client) => client.script("LOAD", INCREMENT))) as string;
    cut();
    const call = through.run((client) => client.evalsha(sha1, 1, key));
    await expect(call).rejects.toMatchObject({ outcome: "unknown" });
    await waitFor(() => through.run((client) => client.ping()), { what: "the connection" });
    expect(await redis.get(key)).toBe("1");
  });

  test("the caller is told, and learns the answer by asking again with the same key", async () => {
    const { proxy, cut } = await prepare();
    const { doc, service, consume, syncAll, used } = assemble({ redis: connectTo(proxy.port) });
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await service.check("p1");
    cut();
    const error = await consume(2, "k").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(QuotaOutcomeUnknownError);
    expect(error).toMatchObject({ code: "outcome-unknown", idempotencyKey: "k" });
    const answer = await waitFor(() => consume(2, "k"), { what: "a definite answer" });
    expect(answer).toMatchObject({ allowed: true, used: 2, source: "redis" });
    expect(await consume(2, "k")).toEqual(answer);
    await syncAll();
    expect(await used()).toBe(2);
  });

  test("Firestore does not count in Redis's stead what Redis may have counted", async () => {
    const { proxy, cut } = await prepare();
    const { doc, service, consume, beside, used } = assemble({ redis: connectTo(proxy.port) });
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await service.check("p1");
    cut();
    await expect(consume(2, "k")).rejects.toThrow(QuotaOutcomeUnknownError);
    const withoutRedis = beside({ redis: connectTo(1) });
    await expect(withoutRedis.consume(2, "k")).rejects.toThrow(QuotaOutcomeUnknownError);
    const withRedis = beside({ redis: connection });
    expect(await withRedis.consume(2, "k")).toMatchObject({ allowed: true, used: 2 });
    await withRedis.syncAll();
    expect(await used()).toBe(2);
  });

  test("it is told even if Firestore gives no answer either", async () => {
    const { proxy, cut } = await prepare();
    const { doc, service, consume, firestoreStore } = assemble({ redis: connectTo(proxy.port) });
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await service.check("p1");
    const away = new FirestoreUnavailableError("the record", "unknown", unavailable());
    jest.spyOn(firestoreStore, "rememberUnknown").mockRejectedValue(away);
    cut();
    await expect(consume(1, "k")).rejects.toThrow(QuotaOutcomeUnknownError);
  });

  test("a repeated answer keeps all its digits", async () => {
    const { doc, consume } = assemble();
    await doc.set({ aiCallsUsed: 999_999_999_999_990, aiCallsLimit: 999_999_999_999_999 });
    const first = await consume(1, "k");
    expect(await consume(1, "k")).toEqual({ ...first, replayed: true });
  });
});

/** A Firestore client that is told at once that Firestore is away. */
function clientWithoutAnswer(): Firestore {
  const fail = () => Promise.reject(unavailable());
  const done = () => Promise.resolve();
  return Object.assign(Object.create(firestore) as Firestore, {
    bulkWriter: () => ({
      onWriteError: () => undefined,
      create: fail,
      update: fail,
      flush: done,
      close: done,
    }),
    runTransaction: fail,
  });
}

function unavailable(): Error {
  return Object.assign(new Error("UNAVAILABLE"), { code: GrpcStatus.UNAVAILABLE });
}

describe("changes of mode", () => {
  test("firestore -> dual-write -> redis-primary -> firestore under load counts every call", async () => {
    const CALLERS = 32;
    const CALLS_OF_A_PHASE = 100;
    const parts = assemble();
    // Four callers for each: with more, a busy machine does not decide within Firestore's time limit.
    const ids = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"];
    await Promise.all(
      ids.map((id) => parts.collection.doc(id).set({ aiCallsUsed: 0, aiCallsLimit: 1_000_000 })),
    );
    const accepted = new Map(ids.map((id) => [id, 0]));
    const bySource = { redis: 0, firestore: 0 };
    let { service } = parts.beside({ mode: "firestore" });
    let ended = false;
    const call = async (caller: number) => {
      for (let i = caller; !ended; i++) {
        const id = ids[i % ids.length]!;
        const { allowed, source } = await service.consume(id, { cost: 1 + (i % 3) });
        if (allowed) accepted.set(id, accepted.get(id)! + 1 + (i % 3));
        bySource[source]++;
      }
    };
    const syncUntilTheEnd = async () => {
      while (!ended) await parts.syncAll();
    };
    const load = [...Array.from({ length: CALLERS }, (_, caller) => call(caller)), syncUntilTheEnd()];
    for (const mode of ["firestore", "dual-write", "redis-primary", "firestore"] as const) {
      // Calls that began in the mode before go on in it, as on the instances that a deployment has yet to replace.
      ({ service } = parts.beside({ mode }));
      const source = mode === "redis-primary" ? "redis" : "firestore";
      const before = bySource[source];
      await waitFor(() => bySource[source] >= before + CALLS_OF_A_PHASE, {
        what: `calls in ${mode}`,
        timeoutMs: 60_000,
      });
    }
    ended = true;
    await Promise.all(load);
    await parts.syncAll();
    for (const id of ids) {
      expect((await parts.collection.doc(id).get()).get("aiCallsUsed")).toBe(accepted.get(id));
    }
  }, 300_000);

  test.each(["dual-write", "firestore"] as const)(
    "the first call in mode %s knows all that redis-primary had accepted",
    async (mode) => {
      const { doc, consume, beside, used } = assemble();
      await doc.set({ aiCallsUsed: 0, aiCallsLimit: 3 });
      for (let i = 0; i < 3; i++) await consume();
      expect(await beside({ mode }).consume()).toMatchObject({
        allowed: false,
        used: 3,
        source: "firestore",
      });
      expect(await used()).toBe(3);
    },
  );
});

describe("what a crash, a hang or an edit at the wrong moment could have broken", () => {
  test("an admin's set() without merge, between commit and acknowledgement, does not bring a flush back", async () => {
    const { doc, consume, beginFlush, firestoreStore, redisStore, mirrorNow, syncAll, used } = assemble();
    await doc.set({ aiCallsUsed: 5, aiCallsLimit: 100 });
    await consume(3);
    const [snapshot] = await firestoreStore.commitFlushes(await beginFlush());
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await mirrorNow();
    await redisStore.apply("p1", snapshot as QuotaSnapshot);
    await syncAll();
    expect(await used()).toBe(0);
  });

  test.each(["Redis", "Firestore"])(
    "a key is known only to the store that answered, %s, as documented",
    async (first) => {
      const { doc, consume, beside, syncAll, used } = assemble();
      await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
      const withoutRedis = beside({ redis: connectTo(1) });
      if (first === "Redis") await consume(1, "k");
      await withoutRedis.consume(1, "k");
      await consume(1, "k");
      await syncAll();
      expect(await used()).toBe(2);
    },
  );

  test("Firestore does not decide a call while the usage before it cannot be brought over", async () => {
    const { doc, consume, beside } = assemble();
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 3 });
    for (let i = 0; i < 3; i++) await consume();
    const other = beside({ mode: "dual-write" });
    other.firestoreStore.commitFlushes = (flushes) => Promise.resolve(flushes.map(unavailable));
    const allowed = await other.consume().then(
      (answer) => answer.allowed,
      () => false,
    );
    expect(allowed).toBe(false);
  });

  test("one key of another type does not keep the providers of its bucket from being flushed", async () => {
    const { doc, consume, keys, syncAll, used } = assemble();
    await doc.set({ aiCallsUsed: 5, aiCallsLimit: 100 });
    await consume(3);
    const foreign = Array.from({ length: 500 }, (_, i) => `foreign${i}`).find(
      (id) => keys.dirty(id) === keys.dirty("p1"),
    )!;
    await redis.zadd(keys.dirty(foreign), 1, foreign);
    await redis.set(keys.quota(foreign), "a string");
    await syncAll().catch(() => undefined);
    expect(await used()).toBe(8);
  });

  test("a document deleted right after the flush that made it is not made again", async () => {
    const { doc, consume, beginFlush, firestoreStore, redisStore, mirrorNow, syncAll, used } = assemble();
    await consume(2);
    const [snapshot] = await firestoreStore.commitFlushes(await beginFlush());
    await doc.delete();
    await redisStore.apply("p1", await firestoreStore.read("p1"));
    await mirrorNow();
    await redisStore.apply("p1", snapshot as QuotaSnapshot);
    await syncAll();
    expect(await used()).toBeUndefined();
  });

  test("a commit that Firestore's client sends again counts once, though another call came in between", async () => {
    const { doc, beside, used } = assemble();
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    const other = beside({ mode: "firestore" });
    let resent = false;
    const lossy = Object.assign(Object.create(firestore) as Firestore, {
      batch: () => {
        const batch = firestore.batch();
        return Object.assign(Object.create(batch) as typeof batch, {
          commit: async () => {
            const written = await batch.commit();
            if (resent) return written;
            resent = true;
            await other.consume();
            throw Object.assign(new Error("FAILED_PRECONDITION"), { code: GrpcStatus.FAILED_PRECONDITION });
          },
        });
      },
    });
    const outcome = await beside({ mode: "firestore", firestore: lossy })
      .consume()
      .catch((error: unknown) => error);
    if (!(outcome instanceof QuotaOutcomeUnknownError)) expect(await used()).toBe(2);
  });

  test("a sync ends at its time limit while Firestore hangs", async () => {
    const proxy = await startFaultProxy(server.port);
    proxy.set({ requests: "stall" });
    const hanging = connectFirestore(project, `127.0.0.1:${proxy.port}`);
    closing.push(async () => {
      proxy.heal();
      await hanging.terminate().catch(() => undefined);
      proxy.close();
    });
    const { doc, consume, beside } = assemble();
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await consume();
    const syncing = beside({ firestore: hanging, firestoreTimeoutMs: 300 }).syncAll();
    expect(await withDeadline(syncing, 2000, "still waiting")).toMatchObject({ failed: 1 });
  });

  test("a provider that stays dirty does not keep a sync busy", async () => {
    const { doc, redisStore, consume, sync } = assemble();
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await consume();
    // As if Redis had been told of a version that Firestore has not reached, after an import of older data.
    const ahead = { version: Date.now() * 1000 + 60_000_000, asOfMs: Date.now(), marker: 0, created: 0 };
    await redisStore.apply("p1", { ...ahead, quota: { used: 0, limit: 100 } });
    const report = await sync.flushAll({ deadlineMs: Date.now() + 500 });
    expect(report).toMatchObject({ complete: true });
  });

  test("after a sync the Firestore client can be terminated", async () => {
    const client = connectFirestore(project, `127.0.0.1:${server.port}`);
    const { doc, consume, syncAll } = assemble({ firestore: client });
    await doc.set({ aiCallsUsed: 0, aiCallsLimit: 100 });
    await consume();
    await syncAll();
    await client.terminate();
  });
});
