import { Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import { createRedisQuota, type RedisQuota } from "../../functions/src/lib";
import { blockSubject, resetSubject, takeLimit, takeLimits } from "../../functions/src/redis/lua.generated";
import { SETTING_NAMES } from "../../functions/src/sdk/options";
import { createTestRedisQuota } from "../../functions/src/testing";
import { BAD_VALUES, CALL_CASES, CALLBACK_CASES, rowsOf, WRAPPER_CASES } from "../cases/sdk-arguments.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

const POLICIES = [
  { name: "p", by: "subject", limits: [{ algorithm: "fixed-window", limit: 3, window: "366 d" }] },
] as const;

const keyPrefix = uniquePrefix();
const firestore = new Firestore({ projectId: "demo-unused" });
let redis: Redis;
let real: RedisQuota;
let inMemory: RedisQuota;
let before: Readonly<Record<string, string>>;

beforeAll(async () => {
  redis = connectRedis();
  real = createRedisQuota({
    redisHost: "127.0.0.1",
    redisPort: testRedisPort(),
    redisTimeoutMs: 2000,
    keyPrefix,
    mode: "redis-primary",
    rateLimitPolicies: POLICIES,
    firestore,
    log: () => {},
  });
  const ada = { aiCallsUsed: 1, aiCallsLimit: 2 };
  inMemory = createTestRedisQuota({
    mode: "redis-primary",
    rateLimitPolicies: POLICIES,
    providers: { ada },
  });
  for (const { limiter, sessions } of [real, inMemory]) {
    await limiter.check("p", "alice", { cost: 3 });
    await sessions.set("s1", { a: 1 });
  }
  before = await dumps();
});

afterAll(async () => {
  real.close();
  await firestore.terminate();
  redis.disconnect();
});

/** Every key of this test with all that it holds. */
async function dumps(): Promise<Readonly<Record<string, string>>> {
  const counts = `${keyPrefix}:counts:`;
  const keys = (await redis.keys(`${keyPrefix}:*`)).filter((key) => !key.startsWith(counts));
  const entries = keys.sort().map(async (key) => [key, (await redis.dumpBuffer(key))?.toString("hex")]);
  return Object.fromEntries(await Promise.all(entries)) as Readonly<Record<string, string>>;
}

/** What a call throws at once, or rejects with. */
async function errorOf(call: () => unknown): Promise<{ error: unknown; isSync: boolean }> {
  let answer: unknown;
  try {
    answer = call();
  } catch (error) {
    return { error, isSync: true };
  }
  try {
    await answer;
  } catch (error) {
    return { error, isSync: false };
  }
  return { error: undefined, isSync: false };
}

describe.each([
  ["real", () => real],
  ["in-memory", () => inMemory],
])("the %s clients", (_, clients) => {
  test.each(rowsOf([...CALL_CASES, ...CALLBACK_CASES]))(
    "%s rejects %s",
    async (_entry, _name, field, call) => {
      const { error, isSync } = await errorOf(() => call(clients()));
      expect(isSync).toBe(false);
      expect(error).toMatchObject({ code: "invalid-argument" });
      expect((error as Error).message).toMatch(
        new RegExp(`^Expected \`${field}[\\w.\\[\\]]*\` to be .*; got .*\\.$`, "s"),
      );
      expect((error as Error).message.length).toBeLessThan(300);
    },
  );

  test.each(rowsOf(WRAPPER_CASES))("%s throws for %s", async (_entry, _name, field, call) => {
    const { error, isSync } = await errorOf(() => call(clients()));
    expect(isSync).toBe(true);
    expect(error).toMatchObject({ code: "invalid-argument" });
    expect((error as Error).message).toMatch(new RegExp(`^Expected \`${field}\` to be .*; got .*\\.$`, "s"));
  });

  test("an unknown option is an error", async () => {
    const { limiter, quota, sessions } = clients();
    const options = { costs: 2 } as never;
    for (const call of [
      () => limiter.check("p", "bob", options),
      () => limiter.enforce("p", "bob", options),
      () => limiter.refund("p", "bob", options),
      () => limiter.refund("p", "bob", { peek: true } as never),
      () => quota.consume("ada", options),
      () => quota.refund("ada", options),
      () => sessions.touch("s1", options),
    ])
      await expect(call()).rejects.toThrow(
        /^Expected `options` to be an object with only .*; got the unknown field "\w+"\.$/,
      );
  });
});

test("none of these calls has changed anything", async () => {
  expect(await dumps()).toEqual(before);
  for (const { limiter, sessions } of [real, inMemory]) {
    expect(await limiter.check("p", "alice", { peek: true })).toMatchObject({ allowed: false, remaining: 0 });
    expect((await sessions.get("s1"))?.data).toEqual({ a: 1 });
  }
});

describe("scripts refuse an empty subject, and write nothing", () => {
  const charge = ["1", "0", "1", "1", "0", "1", "1", "3", "60000", "3", "60000"];
  test.each([
    ["take-limit", takeLimit, ["b", "h0", "h1"], [...charge, ""]],
    [
      "take-limit, in the second group",
      takeLimit,
      ["b", "h0", "h1", "c", "g0", "g1"],
      [...charge, "alice", ...charge, ""],
    ],
    ["take-limits", takeLimits, ["b", "h0", "h1"], [...charge, ""]],
    ["reset-subject", resetSubject, ["b", "h0", "h1"], [""]],
    ["block-subject", blockSubject, ["b"], ["", "99999999999999"]],
  ])("%s", async (_, { source }, keys, args) => {
    const prefix = uniquePrefix();
    const named = keys.map((key) => `${prefix}:${key}`);
    if (keys.length > 1) await redis.hset(named[1]!, { "": "header", alice: "3" });
    const held = await redis.hgetall(named[1] ?? "none");
    await expect(redis.eval(source, named.length, ...named, ...args)).rejects.toThrow(/^ERR .*empty/);
    expect(await redis.hgetall(named[1] ?? "none")).toEqual(held);
    expect(await redis.exists(...named)).toBe(keys.length > 1 ? 1 : 0);
  });
});

const SETTINGS_VALID: Readonly<Record<string, readonly string[]>> = {
  redisTls: ["true"],
  rateLimitPolicies: ["an empty array"],
};

const settingRows = SETTING_NAMES.flatMap((setting) =>
  Object.entries(BAD_VALUES)
    .filter(([name]) => name !== "undefined" && name !== "an empty string")
    .filter(([name]) => !SETTINGS_VALID[setting]?.includes(name))
    .map(([name, value]): [string, string, unknown] => [setting, name, value]),
);

test.each(settingRows)("the option %s refuses %s, by its name", async (setting, _, value) => {
  const options = { redisHost: "127.0.0.1", [setting]: value } as never;
  const { limiter } = createRedisQuota(options);
  const message = new RegExp(
    `^1 invalid param:\n {2}Expected \`${setting}[\\[\\]\\d.]*\` to be .*; got .*\\.$`,
    "s",
  );
  await expect(limiter.check("p", "alice")).rejects.toThrow(message);
  // In memory, policies are for the calls of rate limits to report, and other settings for createTestRedisQuota.
  const { error, isSync } = await errorOf(() => createTestRedisQuota(options).limiter.check("p", "alice"));
  expect((error as Error).message).toMatch(message);
  expect(isSync).toBe(setting !== "rateLimitPolicies");
});

test.each(
  Object.entries(BAD_VALUES).filter(
    ([name]) =>
      !["undefined", "an object without a prototype", "an object whose getter throws"].includes(name),
  ),
)("no options are made of %s", (_, value) => {
  expect(() => createRedisQuota(value as never)).toThrow(/^Expected `options` to be an object with only /);
  expect(() => createTestRedisQuota(value as never)).toThrow(
    /^Expected `options` to be an object with only /,
  );
});

test("objects and functions among the options are checked at once", () => {
  expect(() => createRedisQuota({ firestore: {} } as never)).toThrow(
    /^Expected `firestore` to be a Firestore client/,
  );
  expect(() => createRedisQuota({ log: "x" } as never)).toThrow(
    /^Expected `log` to be a function; got "x"\.$/,
  );
  expect(() => createTestRedisQuota({ now: 1 } as never)).toThrow(
    /^Expected `now` to be a function; got 1\.$/,
  );
  expect(() => createTestRedisQuota({ providers: [] } as never)).toThrow(
    /^Expected `providers` to be a plain object/,
  );
  const { setProvider, answerFrom } = createTestRedisQuota();
  expect(() => setProvider("", {})).toThrow(/^Expected `providerId` to be/);
  expect(() => setProvider("ada", null as never)).toThrow(
    /^Expected `document` to be a plain object; got null\.$/,
  );
  expect(() => answerFrom("nobody" as never)).toThrow(
    /^Expected `source` to be one of redis, .*; got "nobody"\.$/,
  );
});
