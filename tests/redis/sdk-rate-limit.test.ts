import { once } from "node:events";
import type { AddressInfo } from "node:net";

import { Firestore } from "@google-cloud/firestore";
import express from "express";
import { onCall, onRequest, type CallableRequest } from "firebase-functions/v2/https";

import {
  createRedisQuota,
  rateLimitMiddleware,
  withHttpRateLimit,
  withRateLimit,
  type PolicyInput,
  type RedisQuota,
  type RedisQuotaOptions,
} from "../../functions/src/lib";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

const NO_PORT = 1;
const DAY_MS = 86_400_000;
const perDay = (limit: number) => ({ algorithm: "fixed-window", limit, window: "1 d" }) as const;
const POLICIES: readonly PolicyInput[] = [
  { name: "ip", by: "ip", limits: [perDay(2)] },
  { name: "uid", by: "uid", limits: [perDay(1)] },
  { name: "subject", by: "subject", limits: [perDay(3)] },
  {
    name: "several",
    by: "subject",
    limits: [{ algorithm: "token-bucket", limit: 10, window: "1 m", burst: 20 }, perDay(1000)],
    overrides: [{ subject: "gold", limits: [20, 5000] }],
  },
  { name: "blocked", by: "global", limits: [perDay(0)] },
  { name: "closed", by: "global", onRedisFailure: "closed", limits: [perDay(1)] },
  { name: "open", by: "global", onRedisFailure: "open", limits: [perDay(1)] },
];

const firestore = new Firestore({ projectId: "demo-unused" });
const made: RedisQuota[] = [];
const servers: { close(): void }[] = [];

function create(redisPort = testRedisPort(), options: RedisQuotaOptions = {}): RedisQuota {
  const redisQuota = createRedisQuota({
    redisHost: "127.0.0.1",
    redisPort,
    redisTimeoutMs: 1000,
    keyPrefix: uniquePrefix(),
    rateLimitPolicies: POLICIES,
    firestore,
    log: () => {},
    ...options,
  });
  made.push(redisQuota);
  return redisQuota;
}

afterEach(() => {
  for (const redisQuota of made.splice(0)) redisQuota.close();
  for (const server of servers.splice(0)) server.close();
});

afterAll(() => firestore.terminate());

/** A function as Express takes it; the types differ in what Firebase adds to requests. */
const handler = (deployed: unknown) => deployed as express.RequestHandler;

/** Serves an app and returns its address. */
async function serve(app: express.Express): Promise<string> {
  const server = app.listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("the limiter", () => {
  test("enforce answers as check does, and throws Firebase's error with the decision where that refuses", async () => {
    const { limiter } = create();
    expect(await limiter.enforce("uid", "alice")).toMatchObject({ allowed: true, remaining: 0 });
    const refusal = limiter.enforce("uid", "alice");
    await expect(refusal).rejects.toMatchObject({
      code: "resource-exhausted",
      message: expect.stringMatching(/^Rate limit reached: 1 per 86400 s; try again in \d+ s\.$/) as string,
      details: { allowed: false, limit: 1, windowMs: DAY_MS, remaining: 0, reason: "limit-reached" },
    });
    await limiter.refund("uid", "alice");
    await limiter.enforce("uid", "alice");
    await limiter.reset("uid", "alice");
    expect((await limiter.check("uid", "alice", { peek: true })).allowed).toBe(true);
    await limiter.block("uid", "alice", Date.now() + 60_000);
    await expect(limiter.enforce("uid", "alice")).rejects.toMatchObject({ details: { reason: "blocked" } });
  });

  test("a store that fails is never reported as a reached limit", async () => {
    const { limiter } = create(NO_PORT);
    await expect(limiter.enforce("closed", "all")).rejects.toMatchObject({
      code: "unavailable",
      details: { reason: "redis-unavailable", source: "closed" },
    });
    expect(await limiter.enforce("open", "all")).toMatchObject({ allowed: true, source: "open" });
  });
});

describe("a limit in place of a policy", () => {
  const ALGORITHMS = ["fixed-window", "sliding-window", "token-bucket"] as const;

  test.each(ALGORITHMS)("is shared by all clients, exactly (%s)", async (algorithm) => {
    const keyPrefix = uniquePrefix();
    const clients = [create(testRedisPort(), { keyPrefix }), create(testRedisPort(), { keyPrefix })];
    const limits = [
      { algorithm, limit: 10, window: "366 d" },
      { algorithm, limit: 10, windowMs: 366 * DAY_MS },
    ];
    const calls = Array.from({ length: 60 }, (_, i) =>
      clients[i % 2]!.limiter.check(limits[(i >> 1) % 2]!, "alice"),
    );
    const decisions = await Promise.all(calls);
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(10);
    expect(decisions.every(({ source }) => source === "redis")).toBe(true);
    // A large batch of many limits and subjects counts each of them.
    const others = Array.from({ length: 40 }, (_, i) => ({
      algorithm,
      limit: 1 + (i % 20),
      window: "366 d",
    }));
    const first = await Promise.all(
      others.map((limit, i) => clients[0]!.limiter.check(limit, `bob-${i >= 20}`)),
    );
    expect(first.map(({ remaining }) => remaining)).toEqual(others.map(({ limit }) => limit - 1));
  });

  test("leaves no key without a TTL", async () => {
    const keyPrefix = uniquePrefix();
    const { limiter } = create(testRedisPort(), { keyPrefix });
    for (const algorithm of ALGORITHMS) await limiter.check({ algorithm, limit: 10, window: "1 m" }, "alice");
    await limiter.block({ limit: 10, window: "1 m" }, "bob", Date.now() + 60_000);
    const redis = connectRedis();
    try {
      const keys = await redis.keys(`${keyPrefix}:*:r:*`);
      expect(keys.sort()).toEqual([
        expect.stringMatching(/:\{0\}:r:\(fixed-window\/10\/10\/60000\):f60000:[01]$/),
        expect.stringMatching(/:\{0\}:r:\(sliding-window\/10\/10\/60000\):blocks$/),
        expect.stringMatching(/:\{0\}:r:\(sliding-window\/10\/10\/60000\):s60000:[01]$/),
        expect.stringMatching(/:\{0\}:r:\(token-bucket\/10\/10\/60000\):t60000:[01]$/),
      ]);
      for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0);
    } finally {
      redis.disconnect();
    }
  });

  test("is decided by its onRedisFailure while Redis is unavailable", async () => {
    const { limiter } = create(NO_PORT);
    const limit = { limit: 1, window: "1 d" };
    expect(await limiter.check(limit, "alice")).toMatchObject({ allowed: true, source: "local" });
    expect(await limiter.check(limit, "alice")).toMatchObject({ allowed: false, source: "local" });
    const closed = { ...limit, onRedisFailure: "closed" } as const;
    await expect(limiter.enforce(closed, "alice")).rejects.toMatchObject({
      code: "unavailable",
      details: { reason: "redis-unavailable", source: "closed" },
    });
    const open = { ...limit, onRedisFailure: "open" } as const;
    for (let i = 0; i < 2; i++)
      expect(await limiter.enforce(open, "alice")).toMatchObject({ allowed: true, source: "open" });
    expect(await limiter.check({ ...open, limit: 0 }, "alice")).toMatchObject({ allowed: false });
  });

  test("works while the configured policies are invalid", async () => {
    const { limiter } = create(testRedisPort(), { rateLimitPolicies: [{ name: "p" }] as never });
    await expect(limiter.check("p", "alice")).rejects.toThrow(/`rateLimitPolicies\[0\]/);
    expect(await limiter.check({ limit: 1, window: "1 d" }, "alice")).toMatchObject({ allowed: true });
  });
});

describe("withRateLimit", () => {
  const answer = async (request: CallableRequest<{ question: string }>) =>
    `You asked ${request.data.question}`;

  async function ask(url: string, question: string) {
    const response = await fetch(`${url}/ask`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ data: { question } }),
    });
    return { status: response.status, body: (await response.json()) as unknown };
  }

  test("a callable answers within its limit, and refuses beyond it with the decision", async () => {
    const { limiter } = create();
    const url = await serve(
      express().use(
        "/ask",
        express.json(),
        handler(onCall(withRateLimit(answer, { limiter, policy: "ip" }))),
      ),
    );
    for (const question of ["one", "two"])
      expect(await ask(url, question)).toEqual({ status: 200, body: { result: `You asked ${question}` } });
    expect(await ask(url, "three")).toMatchObject({
      status: 429,
      body: { error: { status: "RESOURCE_EXHAUSTED", details: { limit: 2, reason: "limit-reached" } } },
    });
  });

  test("subject and cost come from the request where they are told", async () => {
    const { limiter } = create();
    const limited = withRateLimit(answer, {
      limiter,
      policy: "subject",
      subject: ({ data }) => data.question,
      cost: ({ data }) => data.question.length,
    });
    const url = await serve(express().use("/ask", express.json(), handler(onCall(limited))));
    expect((await ask(url, "abc")).status).toBe(200);
    expect((await ask(url, "abc")).status).toBe(429);
    expect((await ask(url, "ab")).status).toBe(200);
    expect(await ask(url, "abcd")).toMatchObject({
      status: 400,
      body: {
        error: { message: expect.stringMatching(/^Expected `cost` to be at most 3.*; got 4\.$/) as string },
      },
    });
  });

  test("who is not signed in is refused by a policy by uid", async () => {
    const { limiter } = create();
    const url = await serve(
      express().use(
        "/ask",
        express.json(),
        handler(onCall(withRateLimit(answer, { limiter, policy: "uid" }))),
      ),
    );
    expect(await ask(url, "?")).toMatchObject({
      status: 401,
      body: { error: { status: "UNAUTHENTICATED", message: "Sign in first." } },
    });
  });
});

describe.each(["rateLimitMiddleware", "withHttpRateLimit"])("%s", (form) => {
  const path = (url: string) => `${url}/api`;

  async function serveApi(
    options: Parameters<typeof rateLimitMiddleware>[0],
  ): Promise<{ url: string; served: () => number }> {
    let served = 0;
    const handle = (_request: unknown, response: { end(text: string): unknown }) => {
      served++;
      response.end("served");
    };
    const app = express();
    if (form === "rateLimitMiddleware") app.use("/api", rateLimitMiddleware(options), handle);
    else app.use("/api", handler(onRequest(withHttpRateLimit(handle, options))));
    return { url: path(await serve(app)), served: () => served };
  }

  test("says on each response where its sender stands, and refuses with a time to wait", async () => {
    const { limiter } = create();
    const { url, served } = await serveApi({ limiter, policy: "ip" });
    for (const remaining of [1, 0]) {
      const response = await fetch(url);
      expect(await response.text()).toBe("served");
      expect(response.headers.get("RateLimit-Policy")).toBe('"ip";q=2;w=86400');
      expect(response.headers.get("RateLimit")).toMatch(new RegExp(`^"ip";r=${remaining};t=\\d+$`));
      expect(response.headers.get("Retry-After")).toBeNull();
    }
    const refusal = await fetch(url);
    expect(refusal.status).toBe(429);
    expect(refusal.headers.get("Content-Type")).toBe("application/problem+json");
    const untilMidnightS = (DAY_MS - (Date.now() % DAY_MS)) / 1000;
    expect(Math.abs(Number(refusal.headers.get("Retry-After")) - untilMidnightS)).toBeLessThan(5);
    expect(await refusal.json()).toEqual({
      type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
      title: "Rate limit reached.",
      detail: `Try again in ${refusal.headers.get("Retry-After")} s.`,
      status: 429,
      "violated-policies": ["ip"],
    });
    expect(served()).toBe(2);
  });

  test("the limit that binds is told from the policy's others, also where a subject has its own", async () => {
    const { limiter } = create();
    const { url } = await serveApi({
      limiter,
      policy: "several",
      subject: (request) => String(request.headers["x-customer"]),
      cost: 5,
    });
    const fields = async (customer: string) => {
      const { headers } = await fetch(url, { headers: { "X-Customer": customer } });
      return [headers.get("RateLimit-Policy"), headers.get("RateLimit")];
    };
    expect(await fields("silver")).toEqual([
      '"several-120000ms";q=20;w=120, "several-86400000ms";q=1000;w=86400',
      expect.stringMatching(/^"several-120000ms";r=15;t=30$/),
    ]);
    expect(await fields("gold")).toEqual([
      '"several-120000ms";q=40;w=120, "several-86400000ms";q=5000;w=86400',
      expect.stringMatching(/^"several-120000ms";r=35;t=15$/),
    ]);
  });

  test("a block, a missing identity and a failed store are told apart", async () => {
    const blocked = await fetch((await serveApi({ limiter: create().limiter, policy: "blocked" })).url);
    expect([blocked.status, blocked.headers.get("RateLimit-Policy")]).toEqual([429, '"blocked";q=0;w=86400']);
    const unknown = await fetch((await serveApi({ limiter: create().limiter, policy: "uid" })).url);
    expect([unknown.status, await unknown.json()]).toEqual([401, { title: "Sign in first.", status: 401 }]);
    const closed = await serveApi({ limiter: create(NO_PORT).limiter, policy: "closed" });
    const response = await fetch(closed.url);
    expect([response.status, response.headers.get("Retry-After"), response.headers.get("RateLimit")]).toEqual(
      [503, "1", null],
    );
    expect(closed.served()).toBe(0);
  });

  test("an unknown policy is an error of the server", async () => {
    const { url, served } = await serveApi({ limiter: create().limiter, policy: "nobody" });
    expect((await fetch(url)).status).toBe(500);
    expect(served()).toBe(0);
  });
});

/** An app that is limited by the policy "ip" and answers nothing. */
function limitedByAddress(limiter: RedisQuota["limiter"]): express.Express {
  return express().use(rateLimitMiddleware({ limiter, policy: "ip" }), (_request, response) => {
    response.end();
  });
}

/** Serves {@link limitedByAddress}. Returns a function that sends a request with X-Forwarded-For, and returns the status. */
async function serveByAddress(
  limiter: RedisQuota["limiter"],
): Promise<(forwarded: string) => Promise<number>> {
  const url = await serve(limitedByAddress(limiter));
  return async (forwarded) => (await fetch(url, { headers: { "X-Forwarded-For": forwarded } })).status;
}

test("addresses of one network are one client, in any spelling, and an IPv4-mapped address is IPv4", async () => {
  const { limiter } = create();
  const from = await serveByAddress(limiter);
  expect([
    await from("2001:db8:1:2::1"),
    await from("2001:DB8:1:2:0:0:0:2"),
    await from("2001:0db8:0001:0002:ffff::3"),
  ]).toEqual([200, 200, 429]);
  expect([await from("192.0.2.1"), await from("::ffff:192.0.2.1"), await from("::ffff:c000:201")]).toEqual([
    200, 200, 429,
  ]);
  expect(await limiter.check("ip", "2001:db8:1:2::4", { peek: true })).toMatchObject({ allowed: false });
  await limiter.reset("ip", "2001:db8:1:2::5");
  expect(await from("2001:db8:1:2::6")).toBe(200);
});

test("the address before trusted proxies is the sender's", async () => {
  const { limiter } = create(testRedisPort(), { trustedProxies: "203.0.113.0/24" });
  const from = await serveByAddress(limiter);
  expect([await from("9.9.9.9, 203.0.113.1"), await from("1.1.1.1, 9.9.9.9, 203.0.113.2")]).toEqual([
    200, 200,
  ]);
  expect([await from("2.2.2.2, 9.9.9.9, 203.0.113.3"), await from("9.9.9.9, 8.8.8.8")]).toEqual([429, 200]);
});

test("RateLimit and Retry-After go by Redis's clock, not by the process's", async () => {
  const { limiter } = create();
  const url = await serve(limitedByAddress(limiter));
  const { now } = Date;
  const clock = jest.spyOn(Date, "now").mockImplementation(() => now() - 3 * DAY_MS);
  try {
    for (let i = 0; i < 3; i++) {
      const { headers } = await fetch(url);
      const { t } = /;t=(?<t>\d+)$/.exec(headers.get("RateLimit")!)!.groups!;
      expect(Math.abs(Number(t) * 1000 - (DAY_MS - (now() % DAY_MS)))).toBeLessThan(60_000);
    }
  } finally {
    clock.mockRestore();
  }
});

test("the sender's address is what Google's front end adds, not what the sender says", async () => {
  const { limiter } = create();
  const from = await serveByAddress(limiter);
  expect([await from("1.1.1.1, 9.9.9.9"), await from("2.2.2.2, 9.9.9.9")]).toEqual([200, 200]);
  expect([await from("3.3.3.3, 9.9.9.9"), await from("3.3.3.3, 8.8.8.8")]).toEqual([429, 200]);
});
