import type { AddressInfo } from "node:net";

import express from "express";
import { HttpsError, onCall, type CallableRequest, type CallableResponse } from "firebase-functions/v2/https";

import { withQuota, type QuotaOptions } from "../../functions/src/lib";
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
