import { once } from "node:events";
import { createServer, request as sendRequest, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

import { Firestore } from "@google-cloud/firestore";
import cors from "cors";
import express from "express";
import { onRequest } from "firebase-functions/v2/https";

import {
  createRedisQuota,
  rateLimitMiddleware,
  withHttpRateLimit,
  withRateLimit,
  type PolicyInput,
  type RedisQuota,
} from "../../functions/src/lib";
import { testRedisPort, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

// The types of Express 5, also for the alias, whose package has none.
const express5 = jest.requireActual<typeof express>("express5");

const POLICIES: readonly PolicyInput[] = [
  { name: "ip", by: "ip", limits: [{ algorithm: "fixed-window", limit: 2, window: "366 d" }] },
  { name: "key", by: "subject", limits: [{ algorithm: "fixed-window", limit: 3, window: "366 d" }] },
];
const API_KEY = `sk_live_${"4f".repeat(160)}`;
const ORIGIN = "https://app.example.com";
const PREFLIGHT = { Origin: ORIGIN, "Access-Control-Request-Method": "GET" };

const firestore = new Firestore({ projectId: "demo-unused" });
let redisQuota: RedisQuota;
let logged: string[] = [];
const servers: { close(): void; closeAllConnections(): void }[] = [];

beforeEach(() => {
  logged = [];
  redisQuota = createRedisQuota({
    redisHost: "127.0.0.1",
    redisPort: testRedisPort(),
    redisTimeoutMs: 2000,
    keyPrefix: uniquePrefix(),
    rateLimitPolicies: POLICIES,
    firestore,
    log: (entry) => void logged.push(JSON.stringify(entry)),
  });
});

afterEach(() => {
  redisQuota.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

afterAll(() => firestore.terminate());

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** A function as Node's server calls it; firebase-functions expects Express's requests. */
const deployed = (handler: unknown) => express().use(handler as express.RequestHandler);

const limits = (options: object = {}) =>
  ({ limiter: redisQuota.limiter, policy: "ip", ...options }) as Parameters<typeof rateLimitMiddleware>[0];
const byKey = () =>
  limits({ policy: "key", subject: ({ headers }: express.Request) => headers["x-api-key"] });

/** What the policy `ip` has left for this process's address. */
const remaining = async () => (await redisQuota.limiter.check("ip", "127.0.0.1", { peek: true })).remaining;

describe.each([
  ["Express 4", express],
  ["Express 5", express5],
])("rateLimitMiddleware in %s", (_, framework) => {
  test("passes what a later handler throws to the error handlers, once", async () => {
    const errors: unknown[] = [];
    const app = framework()
      .use(rateLimitMiddleware(limits()))
      .get("/", () => {
        throw new Error("of the handler");
      })
      .use(((error, _request, response, _next) => {
        errors.push(error);
        response.status(500).end((error as Error).message);
      }) as express.ErrorRequestHandler);
    const response = await fetch(await serve(app));
    expect([response.status, await response.text()]).toEqual([500, "of the handler"]);
    expect(errors).toHaveLength(1);
  });

  test("leaves a response alone that was sent while the limit was decided", async () => {
    const nexts: unknown[] = [];
    const app = framework()
      .use((request, response, next) => {
        rateLimitMiddleware(limits({ subject: () => firstAnswer(response) }))(request, response, next);
      })
      .use((_request, response) => {
        nexts.push("handler");
        response.end("too late");
      })
      .use(((error, _request, _response, _next) => void nexts.push(error)) as express.ErrorRequestHandler);
    const firstAnswer = (response: express.Response) => {
      response.status(504).end("timeout");
      return "127.0.0.1";
    };
    const url = await serve(app);
    // The third request is denied.
    for (let i = 0; i < 3; i++) {
      const response = await fetch(url);
      expect([response.status, await response.text()]).toEqual([504, "timeout"]);
    }
    await waitFor(async () => (await remaining()) === 0, { what: "the decisions" });
    expect(nexts).toEqual([]);
  });

  test("passes preflights on, uncounted, and counts other OPTIONS requests", async () => {
    const app = framework().use(rateLimitMiddleware(limits()), cors({ origin: ORIGIN }), (_, response) => {
      response.end("served");
    });
    const url = await serve(app);
    for (let i = 0; i < 5; i++) {
      const preflight = await fetch(url, { method: "OPTIONS", headers: PREFLIGHT });
      expect([preflight.status, preflight.headers.get("Access-Control-Allow-Origin")]).toEqual([204, ORIGIN]);
    }
    expect(await remaining()).toBe(2);
    await fetch(url, { method: "OPTIONS" });
    expect(await remaining()).toBe(1);
  });

  test.each([
    ["before", undefined, "RateLimit-Policy, RateLimit"],
    ["before", ["X-Total", "ratelimit"], "X-Total,ratelimit, RateLimit-Policy"],
    ["after", undefined, "RateLimit-Policy, RateLimit"],
  ])("with cors %s it, exposing %j, a page can read the fields", async (order, exposedHeaders, exposed) => {
    const allow = cors({ origin: ORIGIN, ...(exposedHeaders && { exposedHeaders }) });
    const limit = rateLimitMiddleware(limits());
    const app = framework().use(...(order === "before" ? [allow, limit] : [limit, allow]), (_, response) => {
      response.end("served");
    });
    const url = await serve(app);
    const ask = (headers: Record<string, string>) => fetch(url, { headers });
    const { headers } = await ask({ Origin: ORIGIN });
    expect(headers.get("Access-Control-Expose-Headers")).toBe(exposed);
    expect(headers.get("Access-Control-Allow-Origin")).toBe(ORIGIN);
    await ask({});
    const denial = await ask({ Origin: ORIGIN });
    expect(denial.status).toBe(429);
    expect(denial.headers.get("Access-Control-Expose-Headers")).toBe(`${exposed}, Retry-After`);
    // With cors after the middleware, a page of another origin cannot read the denial.
    expect(denial.headers.get("Access-Control-Allow-Origin")).toBe(order === "before" ? ORIGIN : null);
  });
});

test("requests of the same origin, and those without one, expose nothing", async () => {
  const url = await serve(
    express().use(rateLimitMiddleware(limits()), (_, response) => {
      response.end("served");
    }),
  );
  for (const headers of [{}, { Origin: new URL(url).origin }])
    expect((await fetch(url, { headers })).headers.get("Access-Control-Expose-Headers")).toBeNull();
});

test("in a plain server, what next throws is passed to next", async () => {
  const errors: unknown[] = [];
  const url = await serve((request, response) => {
    rateLimitMiddleware(limits())(request, response, (error) => {
      if (error === undefined) throw new Error("of the handler");
      errors.push(error);
      response.writeHead(500).end((error as Error).message);
    });
  });
  const response = await fetch(url);
  expect([response.status, await response.text()]).toEqual([500, "of the handler"]);
  expect(errors).toHaveLength(1);
});

test("a client that leaves while the limit is decided is not served", async () => {
  let served = 0;
  let asked = 0;
  let closed = (): void => undefined;
  const gone = new Promise<void>((resolve) => (closed = resolve));
  const url = await serve((request, response) => {
    response.on("close", closed);
    const subject = async () => {
      asked++;
      await gone;
      return "127.0.0.1";
    };
    rateLimitMiddleware(limits({ subject }))(request, response, () => served++);
  });
  const request = sendRequest(url).on("error", () => {});
  request.end();
  await waitFor(() => asked === 1, { what: "the request" });
  request.destroy();
  await waitFor(async () => (await remaining()) === 1, { what: "the decision" });
  expect(served).toBe(0);
});

describe("withHttpRateLimit", () => {
  test("counts preflights that reach it; those that onRequest answers do not", async () => {
    let served = 0;
    const handler = withHttpRateLimit<express.Request, express.Response>((_request, response) => {
      served++;
      response.end();
    }, limits());
    const preflight = async (options: object) =>
      fetch(await serve(deployed(onRequest(options, handler as never))), {
        method: "OPTIONS",
        headers: PREFLIGHT,
      });
    expect((await preflight({ cors: ORIGIN })).status).toBe(204);
    expect([served, await remaining()]).toEqual([0, 2]);
    await preflight({});
    expect([served, await remaining()]).toEqual([1, 1]);
  });

  test("a handler that rejects after the headers ends the response, and its error is reported", async () => {
    const failure = new Error("of the handler");
    const limited = withHttpRateLimit(async (_request, response) => {
      response.write("begun");
      await new Promise((resolve) => setImmediate(resolve));
      throw failure;
    }, limits());
    const errors: unknown[] = [];
    const url = await serve((request, response) => {
      limited(request, response).catch((error: unknown) => errors.push(error));
    });
    const response = await fetch(url);
    await expect(response.text()).rejects.toThrow();
    expect(errors).toEqual([failure]);
  });

  test("a handler that rejects before is answered by the framework", async () => {
    const limited = withHttpRateLimit(async () => {
      throw new Error("of the handler");
    }, limits());
    expect((await fetch(await serve(deployed(onRequest(limited as never))))).status).toBe(500);
  });
});

describe.each(["rateLimitMiddleware", "withHttpRateLimit"])("%s", (form) => {
  /** Answers 200, or 500 with the error. */
  function serveLimited(options: Parameters<typeof rateLimitMiddleware>[0]): Promise<string> {
    const limit = rateLimitMiddleware(options);
    const limited = withHttpRateLimit((_request, response) => void response.end("served"), options);
    return serve((request, response) => {
      const finish = (error?: unknown) =>
        response.writeHead(error ? 500 : 200).end(String(error ?? "served"));
      if (form === "rateLimitMiddleware") limit(request, response, finish);
      else limited(request, response).catch(finish);
    });
  }

  test.each([
    ["over-long", API_KEY, "a string of 328 characters"],
    ["ill-formed", `${API_KEY.slice(0, 20)}\t`, "a string of 21 characters"],
    ["missing", undefined, "undefined"],
  ])("a %s API key is the request's fault, and shown nowhere", async (_, key, got) => {
    // Node's client and server trim fields, so that the tab comes from the server's own code.
    const options = limits({ policy: "key", subject: () => key });
    const response = await fetch(await serveLimited(options));
    const problem = (await response.json()) as object;
    expect([response.status, response.headers.get("Content-Type")]).toEqual([
      400,
      "application/problem+json",
    ]);
    expect(problem).toEqual({
      title: `Expected \`subject\` to be 1 to 256 characters without control characters; got ${got}.`,
      status: 400,
    });
    expect(logged.join()).not.toContain(API_KEY.slice(0, 20));
  });

  test("a request without the header that names its subject is answered 400", async () => {
    const url = await serveLimited(byKey());
    expect((await fetch(url)).status).toBe(400);
    expect((await fetch(url, { headers: { "X-Api-Key": "sk_live_1" } })).status).toBe(200);
  });

  test.each([
    ["of the request", () => 4, 400],
    ["of the request", () => Number.NaN, 400],
    ["of the server", 4, 500],
  ])("an invalid cost %s: %p is answered %i", async (_, cost, status) => {
    const response = await fetch(await serveLimited(limits({ policy: "key", subject: () => "a", cost })));
    expect(response.status).toBe(status);
    expect(await response.text()).toContain("Expected `cost` to be ");
  });

  test("a constant cost that is never valid is an error when the handler is wrapped", async () => {
    const serve = async () => serveLimited(limits({ policy: "key", subject: () => "a", cost: 0.5 }));
    await expect(serve()).rejects.toThrow("Expected `cost` to be ");
  });

  test("a policy by subject without the option subject is the server's fault", async () => {
    expect((await fetch(await serveLimited(limits({ policy: "key" })))).status).toBe(500);
  });
});

test.each([
  ["invalid-argument", { policy: "key", subject: () => "a", cost: () => 4 }, "HttpsError"],
  ["invalid-argument", { policy: "key", subject: () => "", cost: 1 }, "HttpsError"],
  ["internal", { policy: "key", subject: () => "a", cost: 4 }, "InvalidRateLimitCallError"],
  ["internal", { policy: "unknown" }, "InvalidRateLimitCallError"],
])("a callable answers %s for %j", async (_, options, kind) => {
  const limited = withRateLimit(() => "served", limits(options) as never);
  const error = await limited({ rawRequest: { headers: {} } } as never).catch((thrown: unknown) => thrown);
  // Firebase answers "internal" for anything but an HttpsError, and logs it.
  expect((error as Error).constructor.name).toBe(kind);
});
