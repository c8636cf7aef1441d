import type { Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { NO_DOCUMENT } from "../../functions/src/quota/stored-quota";
import { Keys } from "../../functions/src/redis/keys";
import { callFunction, type CallableError } from "../harness/call-function.ts";
import { signIn } from "../harness/sign-in.ts";
import { storedQuota } from "../harness/stored-quota.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { POLICY_COLLECTION } from "../harness/test-params.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const { project, redisPort } = testEmulators();
const keys = new Keys("frq");

/** Longer than an instance takes, with calls, until it writes what it counts. */
const COUNTS_TIMEOUT_MS = 90_000;

let firestore: Firestore;
let redis: Redis;
let idToken: string;
let adminToken: string;

beforeAll(async () => {
  firestore = connectFirestore(project);
  redis = connectRedis(redisPort);
  idToken = await signIn(project);
  adminToken = await signIn(project, { claims: { admin: true } });
});

afterAll(async () => {
  redis.disconnect();
  await firestore.terminate();
});

const entryOf = (id: string) => storedQuota(redis, keys.quota(id));

async function refusal(call: Promise<unknown>): Promise<{ status: string; message: string }> {
  const { status, message } = (await call.then(
    (answer) => {
      throw new Error(`answered ${JSON.stringify(answer)}`);
    },
    (error: unknown) => error,
  )) as CallableError;
  return { status, message };
}

describe("checkQuota", () => {
  const check = (data: unknown, options: Parameters<typeof callFunction>[2] = { idToken: adminToken }) =>
    callFunction(project.functionUrl("checkQuota"), data, options);

  test("answers from Redis what the mirror put there", async () => {
    const id = uniquePrefix();
    await firestore.collection("providers").doc(id).set({ aiCallsUsed: 49, aiCallsLimit: 50 });
    await waitFor(async () => (await redis.exists(keys.quota(id))) === 1, { what: "the mirror" });
    const answer = { hasQuota: true, used: 49, limit: 50, remaining: 1, found: true, source: "redis" };
    expect(await check({ providerId: id })).toEqual(answer);
    await firestore.collection("providers").doc(id).update({ aiCallsUsed: 50 });
    await waitFor(async () => (await entryOf(id))?.used === 50, { what: "the change" });
    expect(await check({ providerId: id })).toEqual({ ...answer, hasQuota: false, used: 50, remaining: 0 });
    await firestore.collection("providers").doc(id).delete();
    await waitFor(async () => (await entryOf(id))?.limit === NO_DOCUMENT, { what: "the deletion" });
    expect(await check({ providerId: id })).toEqual({
      hasQuota: true,
      used: 0,
      limit: 100,
      remaining: 100,
      found: false,
      source: "redis",
    });
  });

  test("answers from Firestore what Redis does not hold, and from Redis after that", async () => {
    const id = uniquePrefix();
    await firestore.collection("providers").doc(id).set({ aiCallsUsed: 1, aiCallsLimit: 0 });
    await waitFor(async () => (await redis.exists(keys.quota(id))) === 1, { what: "the mirror" });
    await redis.unlink(keys.quota(id));
    const answer = { hasQuota: false, used: 1, limit: 0, remaining: 0, found: true };
    expect(await check({ providerId: id })).toEqual({ ...answer, source: "firestore" });
    expect(await check({ providerId: id })).toEqual({ ...answer, source: "redis" });
  });

  test("refuses who is not signed in", async () => {
    expect((await refusal(check({ providerId: "p1" }, {}))).status).toBe("UNAUTHENTICATED");
  });

  test("answers the provider itself and administrators only", async () => {
    const id = uniquePrefix();
    await firestore.collection("providers").doc(id).set({ aiCallsUsed: 7, aiCallsLimit: 9 });
    const own = await signIn(project, { uid: id });
    for (const token of [own, adminToken])
      expect(await check({ providerId: id }, { idToken: token })).toMatchObject({ used: 7, limit: 9 });
    // Whether a provider exists is not shown either.
    for (const [providerId, token] of [
      [id, idToken],
      [uniquePrefix(), idToken],
      [id, await signIn(project, { claims: { admin: "true" } })],
    ] as const)
      expect(await refusal(check({ providerId }, { idToken: token }))).toEqual({
        status: "PERMISSION_DENIED",
        message: "Only the provider and administrators may do this.",
      });
  });

  test.each<[unknown, RegExp]>([
    [{ providerId: "" }, /^Expected `providerId` to be a document id.*; got ""/],
    [{ providerId: "a/b" }, /^Expected `providerId` to be a document id.*; got "a\/b"/],
    [{ providerId: ".." }, /^Expected `providerId` to be a document id.*; got "\.\."/],
    [{ providerId: "x".repeat(1501) }, /^Expected `providerId` to be/],
    [{ providerId: 42 }, /^Expected `providerId` to be a string.*; got 42/],
    [{}, /^Expected `providerId` to be a string.*; got undefined/],
    [null, /^Expected `data` to be an object with only providerId.*; got null/],
    [{ providerId: "p1", limit: 1000 }, /; got the unknown field "limit"\.$/],
  ])("refuses %j, naming what was received", async (data, message) => {
    expect(await refusal(check(data))).toEqual({
      status: "INVALID_ARGUMENT",
      message: expect.stringMatching(message) as string,
    });
  });

  test("says which field of an invalid document is wrong", async () => {
    const id = uniquePrefix();
    await firestore.collection("providers").doc(id).set({ aiCallsUsed: "many" });
    await waitFor(async () => (await redis.exists(keys.quota(id))) === 1, { what: "the invalidation" });
    expect(await refusal(check({ providerId: id }))).toEqual({
      status: "FAILED_PRECONDITION",
      message: "The provider's document is invalid: aiCallsUsed is no whole number of 0 or more.",
    });
  });
});

describe("consumeQuota", () => {
  const consume = (data: unknown, options: Parameters<typeof callFunction>[2]) =>
    callFunction(project.functionUrl("consumeQuota"), data, options);

  test("counts for the provider itself up to the limit; Firestore decides and Redis knows at once", async () => {
    const id = uniquePrefix();
    const own = { idToken: await signIn(project, { uid: id }) };
    await firestore.collection("providers").doc(id).set({ aiCallsUsed: 8, aiCallsLimit: 10 });
    const left = { hasQuota: true, used: 9, limit: 10, remaining: 1, found: true };
    const status = { ...left, source: "firestore", replayed: false };
    expect(await consume({ providerId: id }, own)).toEqual({ allowed: true, ...status });
    expect(await entryOf(id)).toMatchObject({ used: 9 });
    expect(await consume({ providerId: id, cost: 2 }, own)).toEqual({ allowed: false, ...status });
    expect(await consume({ providerId: id }, own)).toMatchObject({ allowed: true, used: 10, remaining: 0 });
    expect((await firestore.collection("providers").doc(id).get()).get("aiCallsUsed")).toBe(10);
  });

  test("answers a repeated call with an idempotency key as the first time", async () => {
    const id = uniquePrefix();
    const own = { idToken: await signIn(project, { uid: id }) };
    await firestore.collection("providers").doc(id).set({ aiCallsUsed: 0, aiCallsLimit: 10 });
    const first = (await consume({ providerId: id, idempotencyKey: "call-1" }, own)) as object;
    await consume({ providerId: id, idempotencyKey: "call-2" }, own);
    const replay = await consume({ providerId: id, idempotencyKey: "call-1" }, own);
    expect(replay).toEqual({ ...first, replayed: true });
    const other = await refusal(consume({ providerId: id, idempotencyKey: "call-1", cost: 2 }, own));
    expect(other).toMatchObject({ status: "INVALID_ARGUMENT" });
    expect(other.message).toContain(
      "Expected `cost` to be 1, as in the first call with this idempotency key",
    );
    expect((await firestore.collection("providers").doc(id).get()).get("aiCallsUsed")).toBe(2);
  });

  test("refuses everyone but the provider and administrators", async () => {
    const id = uniquePrefix();
    expect((await refusal(consume({ providerId: id }, {}))).status).toBe("UNAUTHENTICATED");
    expect((await refusal(consume({ providerId: id }, { idToken }))).status).toBe("PERMISSION_DENIED");
    const almost = await signIn(project, { claims: { admin: "true" } });
    expect((await refusal(consume({ providerId: id }, { idToken: almost }))).status).toBe(
      "PERMISSION_DENIED",
    );
    const admin = await signIn(project, { claims: { admin: true } });
    expect(await consume({ providerId: id }, { idToken: admin })).toMatchObject({
      allowed: true,
      found: false,
    });
  });

  test.each<[object, RegExp]>([
    [{ cost: 0 }, /^Expected `cost` to be a whole number from 1.*; got 0/],
    [{ cost: -5 }, /^Expected `cost` to be a whole number from 1.*; got -5/],
    [{ cost: 1.5 }, /^Expected `cost` to be a whole number from 1.*; got 1\.5/],
    [{ cost: 1e12 }, /^Expected `cost` to be a whole number from 1.*; got 1000000000000/],
    [{ cost: "1" }, /^Expected `cost` to be a whole number.*; got "1"/],
    [{ idempotencyKey: "" }, /^Expected `idempotencyKey` to be 1 to 256 characters.*; got ""/],
    [{ idempotencyKey: "a\nb" }, /^Expected `idempotencyKey` to be/],
    [{ limit: 5 }, /; got the unknown field "limit"\.$/],
  ])("refuses %j, naming what was received", async (data, message) => {
    const admin = await signIn(project, { claims: { admin: true } });
    const providerId = uniquePrefix();
    expect(await refusal(consume({ providerId, ...data }, { idToken: admin }))).toEqual({
      status: "INVALID_ARGUMENT",
      message: expect.stringMatching(message) as string,
    });
    expect((await firestore.collection("providers").doc(providerId).get()).exists).toBe(false);
  });
});

describe("checkRateLimit", () => {
  const take = (data: unknown, options: Parameters<typeof callFunction>[2] = {}) =>
    callFunction(project.functionUrl("checkRateLimit"), data, options) as Promise<{
      allowed: boolean;
      limit: number;
      remaining: number;
      retryAfterMs: number;
      resetAtMs: number;
    }>;

  test("allows a user exactly the limit, then refuses with the time to retry; other users are apart", async () => {
    const takeEight = (more = {}) =>
      Promise.all(
        Array.from({ length: 8 }, () => take({ policy: "by-uid", ...more }, { idToken: aliceToken })),
      );
    // A process that starts under this load may connect too late for its first answer, and then limits by itself.
    await takeEight({ peek: true });
    const decisions = await takeEight();
    const allowed = decisions.filter((decision) => decision.allowed);
    expect(allowed.map(({ remaining }) => remaining).sort()).toEqual([0, 1, 2, 3, 4]);
    for (const decision of decisions.filter((each) => !each.allowed)) {
      expect(decision).toMatchObject({ limit: 5, remaining: 0, reason: "limit-reached", source: "redis" });
      expect(decision.retryAfterMs).toBeGreaterThan(0);
      expect(decision.retryAfterMs).toBeLessThanOrEqual(86_400_000);
      expect(decision.resetAtMs % 86_400_000).toBe(0);
      expect(decision.resetAtMs).toBeGreaterThan(Date.now());
    }
    expect(await take({ policy: "by-uid" }, { idToken: await signIn(project) })).toMatchObject({
      remaining: 4,
    });
  });

  let aliceToken: string;
  beforeAll(async () => {
    aliceToken = await signIn(project);
  });

  test("decides by a document, as it is now", async () => {
    const policy = uniquePrefix();
    const document = firestore.collection(POLICY_COLLECTION).doc(policy);
    const limits = (limit: number) => [{ algorithm: "fixed-window", limit, window: "1 d" }];
    const untilLimit = (limit: number) =>
      waitFor(async () => (await take({ policy, peek: true })).limit === limit, {
        what: `a limit of ${limit}`,
      });
    await document.set({ by: "global", limits: limits(1) });
    await untilLimit(1);
    expect(await take({ policy })).toMatchObject({ allowed: true, remaining: 0 });
    expect(await take({ policy })).toMatchObject({ allowed: false });
    await document.update({ limits: limits(2) });
    await untilLimit(2);
    expect(await take({ policy })).toMatchObject({ allowed: true, remaining: 0 });
  });

  test("honours cost and peek", async () => {
    const token = await signIn(project);
    const call = (data: object) => take({ policy: "by-uid", ...data }, { idToken: token });
    expect(await call({ cost: 3 })).toMatchObject({ allowed: true, remaining: 2 });
    expect(await call({ cost: 3 })).toMatchObject({ allowed: false, remaining: 2 });
    expect(await call({ peek: true })).toMatchObject({ allowed: true, remaining: 2 });
    expect(await call({ cost: 2 })).toMatchObject({ allowed: true, remaining: 0 });
  });

  test("limits by the caller's address and by all together without signing in", async () => {
    expect(await take({ policy: "by-ip" })).toMatchObject({ allowed: true });
    expect(await take({ policy: "global" })).toMatchObject({ allowed: true });
  });

  test("limits by a named subject only where the policy says so, and only for who is signed in", async () => {
    const subject = uniquePrefix();
    expect(await take({ policy: "by-subject", subject }, { idToken })).toMatchObject({ remaining: 4 });
    expect((await refusal(take({ policy: "by-subject", subject }))).status).toBe("UNAUTHENTICATED");
    expect(await refusal(take({ policy: "by-uid", subject }, { idToken }))).toEqual({
      status: "INVALID_ARGUMENT",
      message: `Expected \`subject\` to be unset for the policy by-uid, which limits by uid; got a string of ${subject.length} characters.`,
    });
  });

  test("a limit of 0 refuses all", async () => {
    expect(await take({ policy: "blocked" }, { idToken })).toMatchObject({
      allowed: false,
      limit: 0,
      remaining: 0,
    });
  });

  test("refuses who is not signed in, or has no App Check token, where the policy needs it", async () => {
    expect((await refusal(take({ policy: "by-uid" }))).status).toBe("UNAUTHENTICATED");
    expect((await refusal(take({ policy: "by-app" }))).status).toBe("UNAUTHENTICATED");
  });

  test.each<[unknown, RegExp]>([
    [{ policy: "unknown" }, /^Expected `policy` to be the name of a policy.*; got "unknown"/],
    [{}, /^Expected `policy` to be the name of a policy.*; got undefined/],
    [{ policy: 7 }, /^Expected `policy` to be the name of a policy.*; got 7/],
    [{ policy: "global", cost: 0 }, /^Expected `cost` to be a whole number, 1 or more.*; got 0/],
    [{ policy: "global", cost: -1 }, /^Expected `cost` to be a whole number, 1 or more.*; got -1/],
    [{ policy: "global", cost: 1.5 }, /^Expected `cost` to be a whole number, 1 or more.*; got 1\.5/],
    [
      { policy: "global", cost: 1_000_000 },
      /^Expected `cost` to be at most 1, the `maxCost` of the policy global; got 1000000\.$/,
    ],
    [{ policy: "by-uid", cost: 6 }, /^Expected `cost` to be at most 5.*; got 6/],
    [{ policy: "global", peek: "yes" }, /^Expected `peek` to be true or false.*; got "yes"/],
    [{ policy: "global", limit: 10 }, /; got the unknown field "limit"\.$/],
    [{ policy: "by-subject" }, /^Expected `subject` to be 1 to 256 characters.*; got undefined/],
    [{ policy: "by-subject", subject: "" }, /^Expected `subject` to be 1 to 256 characters.*; got ""/],
    [
      { policy: "by-subject", subject: "a\nb" },
      /^Expected `subject` to be .*; got a string of \d+ characters\.$/,
    ],
    [
      { policy: "by-subject", subject: "x".repeat(257) },
      /^Expected `subject` to be .*; got a string of \d+ characters\.$/,
    ],
  ])("refuses %j, naming what was received", async (data, message) => {
    expect(await refusal(take(data, { idToken }))).toEqual({
      status: "INVALID_ARGUMENT",
      message: expect.stringMatching(message) as string,
    });
  });
});

describe("getStatus", () => {
  const status = (options: Parameters<typeof callFunction>[2], data: unknown = null) =>
    callFunction(project.functionUrl("getStatus"), data, options) as Promise<{
      mode: string;
      redis: Record<string, unknown>;
      unsynced: Record<string, unknown>;
      instance: Record<string, unknown>;
      all: Record<string, unknown> | null;
    }>;

  test("tells an administrator how Redis, the sync and the instance are", async () => {
    const admin = await signIn(project, { claims: { admin: true } });
    const { mode, redis: server, unsynced, instance } = await status({ idToken: admin });
    expect(mode).toBe("dual-write");
    expect(server).toMatchObject({ reachable: true, version: expect.stringMatching(/^\d+\.\d+/) as string });
    for (const field of ["latencyMs", "usedMemoryBytes", "connectedClients"])
      expect(server[field]).toBeGreaterThan(0);
    expect(server["keyspaceHits"]).toBeGreaterThanOrEqual(0);
    expect(unsynced).toEqual({
      pendingProviders: expect.any(Number) as number,
      oldestPendingMs: expect.any(Number) as number,
    });
    expect(instance["hits"]).toBeGreaterThanOrEqual(0);
    expect(instance["circuit"]).toBe("closed");
  });

  test(
    "tells what the other functions' instances have counted",
    async () => {
      const admin = await signIn(project, { claims: { admin: true } });
      const id = uniquePrefix();
      const nowMs = Date.now();
      await firestore.collection("providers").doc(id).set({ aiCallsUsed: 1, aiCallsLimit: 50 });
      const all = await waitFor(
        async () => {
          await callFunction(project.functionUrl("checkQuota"), { providerId: id }, { idToken: admin });
          const { all } = await status({ idToken: admin });
          return Number(all?.["hits"]) > 0 && Number(all?.["mirrored"]) > 0 && all;
        },
        { what: "hits and mirrored changes", timeoutMs: COUNTS_TIMEOUT_MS },
      );
      expect(all).toMatchObject({
        misses: expect.any(Number) as number,
        mirrorLagMaxMs: expect.any(Number) as number,
      });
      expect(all!["sinceMs"]).toBeGreaterThan(nowMs - 2 * 60 * 60 * 1000);
    },
    2 * COUNTS_TIMEOUT_MS,
  );

  test("refuses everyone else, and any input", async () => {
    expect((await refusal(status({}))).status).toBe("UNAUTHENTICATED");
    expect((await refusal(status({ idToken }))).status).toBe("PERMISSION_DENIED");
    const admin = await signIn(project, { claims: { admin: true } });
    expect(await refusal(status({ idToken: admin }, { verbose: true }))).toEqual({
      status: "INVALID_ARGUMENT",
      message: 'Expected `data` to be nothing; got the unknown field "verbose".',
    });
  });
});
