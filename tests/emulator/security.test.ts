import type { Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { Keys } from "../../functions/src/redis/keys";
import { callFunction, CallableError, postToFunction, type CallOptions } from "../harness/call-function.ts";
import { askAuth, signIn } from "../harness/sign-in.ts";
import { storedQuota } from "../harness/stored-quota.ts";
import { testEmulators } from "../harness/test-emulators.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

const { project, redisPort } = testEmulators();
const keys = new Keys("frq");

let firestore: Firestore;
let redis: Redis;

beforeAll(() => {
  firestore = connectFirestore(project);
  redis = connectRedis(redisPort);
});

afterAll(async () => {
  redis.disconnect();
  await firestore.terminate();
});

const call = (name: string, data: unknown, options: CallOptions) =>
  callFunction(project.functionUrl(name), data, options);

async function statusOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return "OK";
  } catch (error) {
    if (error instanceof CallableError) return error.status;
    throw error;
  }
}

async function owner(): Promise<{ id: string; idToken: string }> {
  const id = uniquePrefix();
  await firestore.collection("providers").doc(id).set({ aiCallsUsed: 0, aiCallsLimit: 10 });
  return { id, idToken: await signIn(project, { uid: id }) };
}

const usedBy = async (id: string) =>
  (await firestore.collection("providers").doc(id).get()).get("aiCallsUsed") as unknown;

describe("who is no administrator", () => {
  test.each([
    ["customAttributes", 400, { customAttributes: '{"admin":true}' }],
    ["claims", 200, { claims: { admin: true }, customClaims: { admin: true } }],
    ["a display name and a photo", 200, { displayName: '{"admin":true}', photoUrl: "admin" }],
  ])("does not become one by updating the own profile with %s", async (_, status, fields) => {
    const { id } = await owner();
    const uid = uniquePrefix();
    const idToken = await signIn(project, { uid });
    const update = await askAuth(project, "identitytoolkit.googleapis.com/v1/accounts:update", {
      idToken,
      returnSecureToken: true,
      ...fields,
    });
    expect(update.status).toBe(status);
    const refreshed = (update.answer["idToken"] as string | undefined) ?? idToken;
    for (const token of [refreshed, await signIn(project, { uid })]) {
      expect(await statusOf(call("consumeQuota", { providerId: id }, { idToken: token }))).toBe(
        "PERMISSION_DENIED",
      );
    }
    expect(await usedBy(id)).toBe(0);
  });

  test.each([["true"], [1], [[true]], [{ admin: true }], [null]])(
    "does not become one by a claim of %j",
    async (admin) => {
      const { id } = await owner();
      const idToken = await signIn(project, { claims: { admin, ADMIN: true } });
      expect(await statusOf(call("consumeQuota", { providerId: id }, { idToken }))).toBe("PERMISSION_DENIED");
    },
  );
});

describe("what a client sends", () => {
  test.each(["global", "by-ip"])(
    "does not use up the policy %s for everybody in one call",
    async (policy) => {
      const limit = 1_000_000;
      const peek = async () =>
        ((await call("checkRateLimit", { policy, peek: true }, {})) as { remaining: number }).remaining;
      for (const cost of [limit, 2])
        expect(await statusOf(call("checkRateLimit", { policy, cost }, {}))).toBe("INVALID_ARGUMENT");
      expect(await peek()).toBeGreaterThan(limit / 2);
    },
  );

  test.each<[string, string]>([
    ["a prototype", '"__proto__":{"cost":10,"limit":1000}'],
    ["a prototype with an administrator's claim", '"__proto__":{"admin":true,"auth":{"uid":"x"}}'],
    ["a constructor", '"constructor":{"prototype":{"admin":true}}'],
  ])("pollutes nothing: %s", async (_, members) => {
    const victim = await owner();
    const attacker = await owner();
    const url = project.functionUrl("consumeQuota");
    const own = `{"data":{"providerId":${JSON.stringify(attacker.id)},${members}}}`;
    expect(["OK", "INVALID_ARGUMENT"]).toContain(await statusOf(postToFunction(url, own, attacker)));
    const others = `{"data":{"providerId":${JSON.stringify(victim.id)},${members}}}`;
    expect(["PERMISSION_DENIED", "INVALID_ARGUMENT"]).toContain(
      await statusOf(postToFunction(url, others, attacker)),
    );
    // Whoever calls next is nobody's heir.
    expect(await statusOf(call("consumeQuota", { providerId: victim.id }, attacker))).toBe(
      "PERMISSION_DENIED",
    );
    expect(await call("consumeQuota", { providerId: victim.id }, victim)).toMatchObject({
      used: 1,
      limit: 10,
    });
  });

  test.each([
    "1e999",
    "-1e999",
    "1e308",
    "9007199254740993",
    "-9007199254740993",
    "0.1",
    "-0",
    "null",
    "true",
    '"1"',
    '"NaN"',
    "[1]",
    '{"valueOf":1}',
    '{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":"-5"}',
  ])("is no cost: %s", async (cost) => {
    const { id, idToken } = await owner();
    const quota = `{"data":{"providerId":"${id}","cost":${cost}}}`;
    expect(await statusOf(postToFunction(project.functionUrl("consumeQuota"), quota, { idToken }))).toBe(
      "INVALID_ARGUMENT",
    );
    expect(await usedBy(id)).toBe(0);
    const rate = `{"data":{"policy":"by-uid","cost":${cost}}}`;
    expect(await statusOf(postToFunction(project.functionUrl("checkRateLimit"), rate, { idToken }))).toBe(
      "INVALID_ARGUMENT",
    );
    expect(await call("checkRateLimit", { policy: "by-uid", peek: true }, { idToken })).toMatchObject({
      remaining: 5,
    });
  });

  test.each([
    { limit: 1_000_000 },
    { aiCallsLimit: 1_000_000 },
    { limits: [{ algorithm: "fixed-window", limit: 1_000_000, window: "1 s" }] },
    { windowMs: 1 },
    { overrides: [{ subject: "me", limits: [1_000_000] }] },
    { uid: "someone-else" },
    { ip: "192.0.2.1" },
  ])("is no limit, nor another identity: %j", async (more) => {
    const { id, idToken } = await owner();
    for (const [name, data] of [
      ["checkQuota", { providerId: id }],
      ["consumeQuota", { providerId: id }],
      ["checkRateLimit", { policy: "by-uid" }],
    ] as const) {
      expect(await statusOf(call(name, { ...data, ...more }, { idToken }))).toBe("INVALID_ARGUMENT");
    }
    expect(await usedBy(id)).toBe(0);
  });

  test.each(["../admin", "a/b", "/", ".", "..", "__x__", "p/quotaCalls/k"])(
    "is no path to another document: %j",
    async (providerId) => {
      // Who may do everything: not who asks is refused, but what is asked for.
      const admin = { idToken: await signIn(project, { claims: { admin: true } }) };
      expect(await statusOf(call("consumeQuota", { providerId }, admin))).toBe("INVALID_ARGUMENT");
      expect(await statusOf(call("checkQuota", { providerId }, admin))).toBe("INVALID_ARGUMENT");
    },
  );

  test.each([
    "{0}:q:victim",
    "a}:q:b",
    "{",
    "}{",
    "line\nbreak",
    "carriage\r\nDEL x",
    "nul\0nul",
    "*",
    "[a-z]?",
    "a:1:b",
  ])("is one provider's name and no other key: %j", async (name) => {
    const id = `${uniquePrefix()}${name}`;
    await firestore.collection("providers").doc(id).set({ aiCallsUsed: 3, aiCallsLimit: 10 });
    const admin = { idToken: await signIn(project, { claims: { admin: true } }) };
    expect(
      await call(
        "consumeQuota",
        { providerId: id, idempotencyKey: `k:${name.replace(/\p{Cc}/gu, "")}` },
        admin,
      ),
    ).toMatchObject({ allowed: true, used: 4, found: true });
    expect(await storedQuota(redis, keys.quota(id))).toMatchObject({ used: 4, limit: 10 });
    expect(await call("checkQuota", { providerId: id }, admin)).toMatchObject({ used: 4, source: "redis" });
  });

  test.each(["{0}:r:x", "by-uid:f86400000:victim", "a}b{c", "*", "a b"])(
    "is one subject's name and no other key: %j",
    async (name) => {
      const subject = `${uniquePrefix()}${name}`;
      const { idToken } = await owner();
      const take = () => call("checkRateLimit", { policy: "by-subject", subject }, { idToken });
      expect(await take()).toMatchObject({ remaining: 4 });
      expect(await take()).toMatchObject({ remaining: 3 });
      const held = keys.charges(0, "by-subject", "f86400000").map((hash) => redis.hexists(hash, subject));
      expect((await Promise.all(held)).toSorted()).toEqual([0, 1]);
    },
  );

  test.each([
    ["of 10 kB", "x".repeat(10_240)],
    ["with a NUL", "nul\0"],
    ["of two lines", "line\nbreak"],
    ["with another control character", "\u0085"],
    ["with half of a character", "\ud800"],
  ])("is no subject, policy or idempotency key: a name %s", async (_, name) => {
    const { id } = await owner();
    // Who may do everything: not the caller is invalid, but the name.
    const idToken = await signIn(project, { claims: { admin: true } });
    for (const [callable, data] of [
      ["checkRateLimit", { policy: "by-subject", subject: name }],
      ["checkRateLimit", { policy: name }],
      ["consumeQuota", { providerId: id, idempotencyKey: name }],
      ["checkQuota", { providerId: `${name}/` }],
    ] as const) {
      const error = await call(callable, data, { idToken }).catch((refusal: unknown) => refusal);
      expect(error).toMatchObject({ status: "INVALID_ARGUMENT" });
      // What is refused is not sent back as a whole.
      expect((error as Error).message.length).toBeLessThan(300);
    }
    expect(await usedBy(id)).toBe(0);
  });

  test("does not take the function down, however deep it is", async () => {
    const { id, idToken } = await owner();
    for (const depth of [100, 3_000, 100_000]) {
      const deep = `${"[".repeat(depth)}${"]".repeat(depth)}`;
      const body = `{"data":{"providerId":${deep}}}`;
      expect(["INVALID_ARGUMENT", "INTERNAL"]).toContain(
        await statusOf(postToFunction(project.functionUrl("consumeQuota"), body, { idToken })),
      );
    }
    expect(await call("consumeQuota", { providerId: id }, { idToken })).toMatchObject({ allowed: true });
  });
});
