import type { AddressInfo } from "node:net";

import express from "express";
import { HttpsError, onCall, type CallableRequest, type CallableResponse } from "firebase-functions/v2/https";

import {
  RedisUnavailableError,
  RerunClaimError,
  withQuota,
  type QuotaClient,
  type QuotaOptions,
} from "../../functions/src/lib";
import { createTestRedisQuota } from "../../functions/src/testing";

type RefundOn = QuotaOptions<CallableRequest>["refundOn"];

const closing: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A function of Firebase's own `onCall` over HTTP that streams so many chunks, then fails. */
async function prepare(chunks: number, refundOn?: RefundOn) {
  const { quota } = createTestRedisQuota({ providers: { ada: { aiCallsUsed: 0, aiCallsLimit: 100 } } });
  const stream = async (_request: CallableRequest, response?: CallableResponse) => {
    for (let i = 0; i < chunks; i++) await response?.sendChunk({ token: i });
    throw new HttpsError("aborted", "the model failed");
  };
  const options = { quota, providerId: () => "ada", cost: 10, ...(refundOn && { refundOn }) };
  const callable = onCall(withQuota(stream, options));
  const app = express();
  app.use(express.json(), (request, response) => void callable(request as never, response as never));
  const server = app.listen(0, "127.0.0.1");
  closing.push(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    used: async () => (await quota.check("ada")).used,
    /** Calls the function, and returns the whole body. */
    call: async (accept: string) => {
      const response = await fetch(`http://127.0.0.1:${port}/`, {
        method: "POST",
        headers: { "content-type": "application/json", accept },
        body: JSON.stringify({ data: {} }),
      });
      return response.text();
    },
  };
}

const STREAM = "text/event-stream";

test("a request that fails after output was streamed is not refunded", async () => {
  const { call, used } = await prepare(9);
  const body = await call(STREAM);
  expect(body.match(/"token"/g)).toHaveLength(9);
  expect(body).toContain("the model failed");
  expect(await used()).toBe(10);
});

test("a request that fails before its first output is refunded", async () => {
  const { call, used } = await prepare(0);
  expect(await call(STREAM)).toContain("the model failed");
  expect(await used()).toBe(0);
});

test("a request without streaming has no output when it fails, and is refunded", async () => {
  const { call, used } = await prepare(9);
  const body = await call("application/json");
  expect(body).not.toContain('"token"');
  expect(body).toContain("the model failed");
  expect(await used()).toBe(0);
});

test.each<[RefundOn, number, number]>([
  ["error", 9, 0],
  ["never", 0, 10],
])("refundOn %s decides otherwise", async (refundOn, chunks, used) => {
  const prepared = await prepare(chunks, refundOn);
  await prepared.call(STREAM);
  expect(await prepared.used()).toBe(used);
});

test("a quota client needs claimRerun only if there are idempotency keys", () => {
  const { quota } = createTestRedisQuota();
  const { consume, refund } = quota;
  const options = { quota: { consume, refund } as typeof quota, providerId: () => "ada" };
  expect(() => withQuota(() => "done", options)).not.toThrow();
  expect(() => withQuota(() => "done", { ...options, idempotencyKey: () => "k" })).toThrow(/`quota`/);
});

/** A function with an idempotency key, of a request with it. */
function prepareKeyed(claimRerun?: QuotaClient["claimRerun"]) {
  const clients = createTestRedisQuota({ mode: "redis-primary", providers: { ada: {} } });
  const quota = { ...clients.quota, ...(claimRerun && { claimRerun }) };
  let runs = 0;
  const options = { quota, providerId: () => "ada", idempotencyKey: () => "k" };
  const handle = withQuota((_request: CallableRequest) => ++runs, options);
  return { ...clients, call: () => handle({ data: {} } as CallableRequest), runs: () => runs };
}

test("the result of a run does not wait long for a store that does not record its end", async () => {
  const { call } = prepareKeyed(() => new Promise<boolean>(() => {}));
  expect(await call()).toBe(1);
}, 5000);

test.each(["not-executed", "unknown"] as const)(
  "who repeats a request is told that it was counted and not run, if the claim is %s",
  async (outcome) => {
    const claims = jest.fn<Promise<boolean>, []>();
    const { call, runs } = prepareKeyed(claims);
    claims.mockResolvedValueOnce(true);
    expect(await call()).toBe(1);
    claims.mockRejectedValueOnce(
      new RerunClaimError("k", new RedisUnavailableError("redis", outcome, new Error("x"))),
    );
    await expect(call()).rejects.toMatchObject({
      code: outcome === "unknown" ? "deadline-exceeded" : "unavailable",
      message: expect.stringMatching(/^The call was counted but not run; repeat it/) as string,
    });
    expect(runs()).toBe(1);
  },
);

test.each([
  ["neither", "not-executed", true],
  ["unknown", "unknown", false],
] as const)(
  "a claim while the stores are as in %s is of the outcome %s",
  async (presence, outcome, isFree) => {
    const { quota, answerFrom } = prepareKeyed();
    const claim = () => quota.claimRerun("ada", { idempotencyKey: "k", source: "redis" });
    answerFrom(presence);
    await expect(claim()).rejects.toMatchObject({ name: "RerunClaimError", outcome });
    answerFrom("redis");
    expect(await claim()).toBe(isFree);
  },
);
