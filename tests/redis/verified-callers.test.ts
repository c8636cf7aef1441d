import { createHmac, createSign, generateKeyPairSync } from "node:crypto";

import type { Redis } from "ioredis";

import { type FrameworkFunction, startFrameworkFunction } from "../../bench/lib/framework-function.ts";
import { callFunction, CallableError, type CallOptions } from "../harness/call-function.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

// The Functions emulator believes any token. These are functions as they are deployed, which verify tokens.

const PROJECT = "demo-bench";
const prefix = uniquePrefix();
const POLICIES = ["ip", "app", "uid"].map((by) => ({
  name: `by-${by}`,
  by,
  limits: [{ algorithm: "fixed-window", limit: 5, window: "1 d" }],
}));

const started: FrameworkFunction[] = [];
let redis: Redis;

async function start(name: string, params: Record<string, string> = {}): Promise<string> {
  const all = {
    EXT_INSTANCE_ID: "verified",
    LOCATION: "europe-west1",
    VPC_CONNECTOR: `projects/${PROJECT}/locations/europe-west1/connectors/redis`,
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(testRedisPort()),
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: prefix,
    RATE_LIMIT_POLICIES: JSON.stringify(POLICIES),
    ...params,
  };
  // There each refusal is logged.
  const instance = await startFrameworkFunction(name, all, "ignore");
  started.push(instance);
  return instance.url;
}

beforeAll(() => {
  redis = connectRedis();
});

afterAll(() => {
  for (const instance of started) instance.stop();
  redis.disconnect();
});

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
const nowSeconds = Math.floor(Date.now() / 1000);
const ADMIN = {
  iss: `https://securetoken.google.com/${PROJECT}`,
  aud: PROJECT,
  sub: "provider-1",
  uid: "provider-1",
  user_id: "provider-1",
  admin: true,
  iat: nowSeconds - 10,
  auth_time: nowSeconds - 10,
  exp: nowSeconds + 3600,
};
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

/**
 * Tokens whose claims are as they should be, and whose signatures are not Google's. Without a network, that of one's own
 * key is refused because Google's keys cannot be had.
 */
const FORGED: Record<string, string> = {
  unsigned: `${encode({ alg: "none", typ: "JWT" })}.${encode(ADMIN)}.`,
  "signed with the project's name": (() => {
    const text = `${encode({ alg: "HS256", typ: "JWT", kid: "k" })}.${encode(ADMIN)}`;
    return `${text}.${createHmac("sha256", PROJECT).update(text).digest("base64url")}`;
  })(),
  "signed with a key of one's own": (() => {
    const text = `${encode({ alg: "RS256", typ: "JWT", kid: "k" })}.${encode(ADMIN)}`;
    return `${text}.${createSign("RSA-SHA256").update(text).sign(privateKey, "base64url")}`;
  })(),
  "no token": "x.y.z",
};

async function statusOf(url: string, data: unknown, options?: CallOptions): Promise<string> {
  try {
    await callFunction(url, data, options);
    return "OK";
  } catch (error) {
    if (error instanceof CallableError) return error.status;
    throw error;
  }
}

const entries = async () => (await redis.keys(`${prefix}:*`)).length;

describe("a forged ID token", () => {
  let check: string;
  let consume: string;
  let limit: string;
  beforeAll(async () => {
    [check, consume, limit] = await Promise.all([
      start("checkQuota"),
      start("consumeQuota"),
      start("checkRateLimit"),
    ]);
  });

  test.each(Object.keys(FORGED))("is refused: %s", async (kind) => {
    const options = { idToken: FORGED[kind]! };
    expect(await statusOf(check, { providerId: "provider-1" }, options)).toBe("UNAUTHENTICATED");
    expect(await statusOf(consume, { providerId: "provider-1" }, options)).toBe("UNAUTHENTICATED");
    expect(await statusOf(limit, { policy: "by-uid" }, options)).toBe("UNAUTHENTICATED");
    expect(await entries()).toBe(0);
  });

  test("is what was refused: the function answers who needs no token", async () => {
    expect(await statusOf(limit, { policy: "by-ip" })).toBe("OK");
  });

  test("of App Check names no app", async () => {
    expect(await statusOf(limit, { policy: "by-app" }, { appCheckToken: FORGED["unsigned"]! })).toBe(
      "UNAUTHENTICATED",
    );
  });

  test("does not help, nor do forged addresses: the last one of X-Forwarded-For is limited", async () => {
    const from = async (forwarded: string) => {
      const response = await fetch(limit, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Forwarded-For": forwarded },
        body: JSON.stringify({ data: { policy: "by-ip" } }),
      });
      return ((await response.json()) as { result: { remaining: number } }).result.remaining;
    };
    expect(await from("198.51.100.1, 203.0.113.9")).toBe(4);
    expect(await from("198.51.100.2, 203.0.113.9")).toBe(3);
    expect(await from("203.0.113.9")).toBe(2);
  });
});

describe("with ENFORCE_APP_CHECK", () => {
  const calls: [string, unknown][] = [
    ["checkQuota", { providerId: "provider-1" }],
    ["consumeQuota", { providerId: "provider-1" }],
    ["checkRateLimit", { policy: "by-ip" }],
  ];

  test.each(calls)(
    "%s refuses a call without an App Check token, and with a forged one",
    async (name, data) => {
      const url = await start(name, { ENFORCE_APP_CHECK: "true" });
      const before = await entries();
      const post = async (options?: CallOptions) => {
        try {
          return await callFunction(url, data, options);
        } catch (error) {
          return { status: (error as CallableError).status, message: (error as Error).message };
        }
      };
      const refused = { status: "UNAUTHENTICATED", message: "A valid App Check token is required." };
      expect(await post()).toEqual(refused);
      for (const appCheckToken of Object.values(FORGED)) {
        expect(await post({ appCheckToken })).toEqual(refused);
      }
      expect(await entries()).toBe(before);
    },
  );
});
