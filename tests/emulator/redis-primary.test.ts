import path from "node:path";

import type { Firestore } from "@google-cloud/firestore";

import { appVariables, startFirebaseEmulators, type FirebaseEmulators } from "../../emulator/start.ts";
import type { PolicyInput } from "../../functions/src/lib";
import { Keys } from "../../functions/src/redis/keys";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { callFunction } from "../harness/call-function.ts";
import { signIn } from "../harness/sign-in.ts";
import { connectFirestore } from "../harness/test-firestore.ts";
import { connectRedis } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const CHATS: PolicyInput = {
  name: "ai-chat",
  by: "uid",
  limits: [{ algorithm: "fixed-window", limit: 3, window: "366 d" }],
};
const keys = new Keys("frq");
let redisServer: RedisServer;
let emulators: FirebaseEmulators;
let firestore: Firestore;

beforeAll(async () => {
  redisServer = await startRedis();
  const params = {
    MODE: "redis-primary",
    ON_CHANGE: "invalidate",
    MISSING_PROVIDER: "deny",
    // A cold process on a busy machine may take longer than 100 ms to connect, and would let Firestore decide.
    REDIS_TIMEOUT_MS: "2000",
  };
  emulators = await startFirebaseEmulators({
    redisPort: redisServer.port,
    params,
    codebase: {
      path: path.resolve(__dirname, "../../examples/ai-chat"),
      env: {
        REDIS_HOST: "127.0.0.1",
        REDIS_PORT: String(redisServer.port),
        ...appVariables({ ...params, RATE_LIMIT_POLICIES: JSON.stringify([CHATS]) }),
      },
    },
  });
  firestore = connectFirestore(emulators);
}, 300_000);

afterAll(async () => {
  await firestore.terminate();
  await emulators.stop();
  await redisServer.stop();
});

const usedInFirestore = async (id: string) =>
  (await firestore.collection("providers").doc(id).get()).get("aiCallsUsed") as unknown;

test("Redis decides, the schedule brings the usage to Firestore, and Firestore decides while Redis is away", async () => {
  const consume = async (providerId: string, data: object = {}) => {
    const idToken = await signIn(emulators, { uid: providerId });
    return callFunction(emulators.functionUrl("consumeQuota"), { providerId, ...data }, { idToken });
  };
  await firestore.collection("providers").doc("p1").set({ aiCallsUsed: 0, aiCallsLimit: 4 });
  const answers = (await Promise.all(Array.from({ length: 6 }, () => consume("p1")))) as {
    allowed: boolean;
  }[];
  expect(answers.filter(({ allowed }) => allowed)).toHaveLength(4);
  expect(answers).toContainEqual(expect.objectContaining({ source: "redis", used: 4, remaining: 0 }));
  expect(await usedInFirestore("p1")).toBe(0);
  expect(await consume("nobody")).toMatchObject({ allowed: false, found: false, limit: 0 });

  await emulators.runSchedule("syncQuotas");
  await waitFor(async () => (await usedInFirestore("p1")) === 4, { what: "the usage in Firestore" });
  const redis = connectRedis(redisServer.port);
  await waitFor(async () => (await redis.exists(keys.dirty("p1"))) === 0, { what: "the entry to be clean" });
  expect(await consume("p1")).toMatchObject({ allowed: false, used: 4 });
  redis.disconnect();

  await firestore.collection("providers").doc("p1").update({ aiCallsLimit: 6 });
  await waitFor(async () => ((await consume("p1")) as { allowed: boolean }).allowed, {
    what: "the new limit",
  });
  await emulators.runSchedule("syncQuotas");
  await waitFor(async () => (await usedInFirestore("p1")) === 5, { what: "the fifth call in Firestore" });
  await redisServer.kill("SIGKILL");
  expect(await consume("p1")).toMatchObject({ allowed: true, used: 6, source: "firestore" });
  expect(await consume("p1")).toMatchObject({ allowed: false, used: 6, source: "firestore" });
  await redisServer.restart();
  const back = await waitFor(
    async () => {
      const answer = (await consume("p1")) as { source: string };
      return answer.source === "redis" && answer;
    },
    { what: "answers from Redis" },
  );
  expect(back).toMatchObject({ allowed: false, used: 6, source: "redis" });
  expect(await usedInFirestore("p1")).toBe(6);
}, 300_000);

test("the app's aiChatBefore, which the guide starts from, counts every call in Firestore", async () => {
  const idToken = await signIn(emulators, { uid: "ada" });
  const ask = () =>
    callFunction(
      emulators.appFunctionUrl("aiChatBefore"),
      { providerId: "p3", question: "how?" },
      { idToken },
    );
  await firestore.collection("providers").doc("p3").set({ aiCallsUsed: 0, aiCallsLimit: 2 });
  for (const remaining of [1, 0]) {
    expect(await ask()).toEqual({ answer: "You asked: how?", remaining, source: "firestore" });
    expect(await usedInFirestore("p3")).toBe(2 - remaining);
  }
  await expect(ask()).rejects.toMatchObject({
    status: "RESOURCE_EXHAUSTED",
    message: "Quota reached: 2 of 2 used.",
  });
});

test("the app's own aiChat goes by Redis, and by Firestore while Redis is away", async () => {
  const ask = async (uid: string, providerId = "p2") => {
    const idToken = await signIn(emulators, { uid });
    const data = { providerId, question: "how?" };
    return callFunction(emulators.appFunctionUrl("aiChat"), data, { idToken });
  };
  const answer = "You asked: how?";
  await firestore.collection("providers").doc("p2").set({ aiCallsUsed: 0, aiCallsLimit: 5 });
  for (const remaining of [4, 3, 2]) expect(await ask("ada")).toEqual({ answer, remaining, source: "redis" });
  await expect(ask("ada")).rejects.toMatchObject({
    status: "RESOURCE_EXHAUSTED",
    details: { reason: "limit-reached", limit: 3 },
  });
  expect(await usedInFirestore("p2")).toBe(0);
  await emulators.runSchedule("syncQuotas");
  await waitFor(async () => (await usedInFirestore("p2")) === 3, { what: "the app's calls in Firestore" });

  await redisServer.kill("SIGKILL");
  expect(await ask("bob")).toEqual({ answer, remaining: 1, source: "firestore" });
  expect(await ask("bob")).toEqual({ answer, remaining: 0, source: "firestore" });
  await expect(ask("cleo")).rejects.toMatchObject({
    status: "RESOURCE_EXHAUSTED",
    message: "Quota reached: 5 of 5 used.",
    details: { allowed: false, used: 5, limit: 5, source: "firestore" },
  });
  await redisServer.restart();
});
