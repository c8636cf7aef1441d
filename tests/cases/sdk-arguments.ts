import type { IncomingMessage, ServerResponse } from "node:http";

import {
  rateLimitMiddleware,
  withHttpRateLimit,
  withQuota,
  withRateLimit,
  type RateLimitOptions,
  type RedisQuota,
} from "../../functions/src/lib";

const fail = (): never => {
  throw new TypeError("the value's own");
};

/** Values as JavaScript callers can pass them, by name. */
export const BAD_VALUES: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  true: true,
  NaN: Number.NaN,
  "-1": -1,
  "1.5": 1.5,
  "10n": 10n,
  "a symbol": Symbol("s"),
  "an empty string": "",
  "two lines": "a\nb",
  "an empty array": [],
  "an array": ["alice"],
  "a function": () => 1,
  "an object without a prototype": Object.create(null),
  "an object with another field": { other: 1 },
  "an object whose conversions throw": { toString: fail, toJSON: fail, valueOf: fail },
  "an object whose getter throws": Object.defineProperty({}, "cost", { enumerable: true, get: fail }),
  "a date": new Date(0),
  "a proxy": new Proxy({}, { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail }),
};

/** One argument of one entry of the SDK. */
interface ArgumentCase {
  readonly entry: string;
  /** What the message names. */
  readonly field: string;
  readonly call: (clients: RedisQuota, value: never) => unknown;
  /** Names of the values that are valid here. */
  readonly valid?: readonly string[];
}

const NO_OPTIONS = ["undefined", "an object without a prototype"];
const UNSET = ["undefined"];

/** What an asynchronous callback returns is awaited, which a proxy may refuse with an error of its own. */
const NOT_AWAITED = ["a proxy"];

function calls(
  entry: string,
  field: string,
  call: (clients: RedisQuota, value: never) => unknown,
  valid: readonly string[] = [],
): ArgumentCase {
  return { entry, field, call, valid };
}

/** Arguments of calls: each call rejects. */
export const CALL_CASES: readonly ArgumentCase[] = [
  calls("limiter.policy(policy)", "policy", ({ limiter }, x) => limiter.policy(x)),
  calls("limiter.check(policy)", "policy", ({ limiter }, x) => limiter.check(x, "alice")),
  calls("limiter.check(subject)", "subject", ({ limiter }, x) => limiter.check("p", x)),
  calls("limiter.check(options)", "options", ({ limiter }, x) => limiter.check("p", "bob", x), NO_OPTIONS),
  calls("limiter.check({cost})", "cost", ({ limiter }, x) => limiter.check("p", "bob", { cost: x }), UNSET),
  calls("limiter.check({peek})", "peek", ({ limiter }, x) => limiter.check("p", "bob", { peek: x }), [
    "undefined",
    "true",
  ]),
  ...(["limit", "window", "windowMs", "burst", "algorithm", "onRedisFailure"] as const).map((field) =>
    calls(
      `limiter.check({${field}})`,
      "policy",
      ({ limiter }, x) => {
        const limit = { algorithm: "token-bucket", limit: 1, ...(field !== "windowMs" && { window: "1 m" }) };
        return limiter.check({ ...limit, [field]: x } as never, "alice");
      },
      ["burst", "algorithm", "onRedisFailure"].includes(field) ? UNSET : [],
    ),
  ),
  calls("limiter.decide(policy)", "policy", ({ limiter }, x) => limiter.decide(x, "alice")),
  calls("limiter.decide(subject)", "subject", async ({ limiter }, x) =>
    limiter.decide(await limiter.policy("p"), x),
  ),
  calls(
    "limiter.decide(options)",
    "options",
    async ({ limiter }, x) => limiter.decide(await limiter.policy("p"), "bob", x),
    NO_OPTIONS,
  ),
  calls("limiter.enforce(policy)", "policy", ({ limiter }, x) => limiter.enforce(x, "alice")),
  calls("limiter.enforce(subject)", "subject", ({ limiter }, x) => limiter.enforce("p", x)),
  calls(
    "limiter.enforce(options)",
    "options",
    ({ limiter }, x) => limiter.enforce("p", "bob", x),
    NO_OPTIONS,
  ),
  calls("limiter.refund(policy)", "policy", ({ limiter }, x) => limiter.refund(x, "alice")),
  calls("limiter.refund(subject)", "subject", ({ limiter }, x) => limiter.refund("p", x)),
  calls("limiter.refund(options)", "options", ({ limiter }, x) => limiter.refund("p", "bob", x), NO_OPTIONS),
  calls("limiter.refund({cost})", "cost", ({ limiter }, x) => limiter.refund("p", "bob", { cost: x }), UNSET),
  calls("limiter.reset(policy)", "policy", ({ limiter }, x) => limiter.reset(x, "alice")),
  calls("limiter.reset(subject)", "subject", ({ limiter }, x) => limiter.reset("p", x)),
  calls("limiter.block(policy)", "policy", ({ limiter }, x) => limiter.block(x, "alice", 0)),
  calls("limiter.block(subject)", "subject", ({ limiter }, x) => limiter.block("p", x, 0)),
  calls("limiter.block(untilMs)", "untilMs", ({ limiter }, x) => limiter.block("p", "alice", x), ["1.5"]),
  calls("quota.check(providerId)", "providerId", ({ quota }, x) => quota.check(x), ["two lines"]),
  ...(["consume", "refund"] as const).flatMap((name) => [
    calls(`quota.${name}(providerId)`, "providerId", ({ quota }, x) => quota[name](x), ["two lines"]),
    calls(`quota.${name}(options)`, "options", ({ quota }, x) => quota[name]("ada", x), NO_OPTIONS),
    calls(`quota.${name}({cost})`, "cost", ({ quota }, x) => quota[name]("ada", { cost: x }), UNSET),
    calls(
      `quota.${name}({idempotencyKey})`,
      "idempotencyKey",
      ({ quota }, x) => quota[name]("ada", { idempotencyKey: x }),
      UNSET,
    ),
  ]),
  calls("quota.invalidate(providerId)", "providerId", ({ quota }, x) => quota.invalidate(x), ["two lines"]),
  calls(
    "quota.claimRerun(providerId)",
    "providerId",
    ({ quota }, x) => quota.claimRerun(x, { idempotencyKey: "k", source: "redis" }),
    ["two lines"],
  ),
  // Without options the key is missing.
  calls("quota.claimRerun(call)", "options", ({ quota }, x) => quota.claimRerun("ada", x), NO_OPTIONS),
  calls("quota.claimRerun({idempotencyKey})", "idempotencyKey", ({ quota }, x) =>
    quota.claimRerun("ada", { idempotencyKey: x, source: "redis" }),
  ),
  calls("quota.claimRerun({source})", "source", ({ quota }, x) =>
    quota.claimRerun("ada", { idempotencyKey: "k", source: x }),
  ),
  ...(["get", "touch", "destroy"] as const).map((name) =>
    calls(`sessions.${name}(sessionId)`, "sessionId", ({ sessions }, x) => sessions[name](x), ["two lines"]),
  ),
  calls("sessions.set(sessionId)", "sessionId", ({ sessions }, x) => sessions.set(x, {}), ["two lines"]),
  calls("sessions.set(data)", "data", ({ sessions }, x) => sessions.set("s1", x), [
    "an object without a prototype",
    "an object with another field",
  ]),
  calls("sessions.set(life)", "options", ({ sessions }, x) => sessions.set("s1", {}, x), NO_OPTIONS),
  calls("sessions.touch(life)", "options", ({ sessions }, x) => sessions.touch("s1", x), NO_OPTIONS),
  calls(
    "sessions.set({ttlSeconds})",
    "ttlSeconds",
    ({ sessions }, x) => sessions.set("s1", {}, { ttlSeconds: x }),
    UNSET,
  ),
  calls(
    "sessions.touch({ttlSeconds})",
    "ttlSeconds",
    ({ sessions }, x) => sessions.touch("s1", { ttlSeconds: x }),
    UNSET,
  ),
];

const request = { data: {}, rawRequest: { headers: {} }, headers: {}, socket: {} } as never;
const handler = () => Promise.resolve("answered");

/** What callbacks of wrappers return: the wrapped handler rejects. */
export const CALLBACK_CASES: readonly ArgumentCase[] = [
  calls(
    "withQuota, providerId()",
    "providerId",
    ({ quota }, x) => withQuota(handler, { quota, providerId: () => x })(request),
    ["two lines", ...NOT_AWAITED],
  ),
  calls("withQuota, cost()", "cost", ({ quota }, x) =>
    withQuota(handler, { quota, providerId: () => "ada", cost: () => x })(request),
  ),
  calls(
    "withQuota, idempotencyKey()",
    "idempotencyKey",
    ({ quota }, x) =>
      withQuota(handler, { quota, providerId: () => "ada", idempotencyKey: () => x })(request),
    UNSET,
  ),
  calls(
    "withRateLimit, subject()",
    "subject",
    ({ limiter }, x) => withRateLimit(handler, { limiter, policy: "p", subject: () => x })(request),
    NOT_AWAITED,
  ),
  calls("withRateLimit, cost()", "cost", ({ limiter }, x) =>
    withRateLimit(handler, { limiter, policy: "p", subject: () => "bob", cost: () => x })(request),
  ),
  ...(["rateLimitMiddleware", "withHttpRateLimit"] as const).flatMap((name) => [
    calls(
      `${name}, subject()`,
      "subject",
      ({ limiter }, x) => answered(name, { limiter, policy: "p", subject: () => x }),
      NOT_AWAITED,
    ),
    calls(`${name}, cost()`, "cost", ({ limiter }, x) =>
      answered(name, { limiter, policy: "p", subject: () => "bob", cost: () => x }),
    ),
  ]),
];

/** Rejects as a callable would where a request is answered 400. */
function answered(
  name: "rateLimitMiddleware" | "withHttpRateLimit",
  options: RateLimitOptions<IncomingMessage>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const response = {
      statusCode: 200,
      setHeader: () => {},
      end: (body: string) => {
        const { title } = JSON.parse(body) as { title: string };
        if (response.statusCode !== 400) reject(new Error(`Answered ${response.statusCode}: ${title}`));
        else reject(Object.assign(new Error(title), { code: "invalid-argument" }));
      },
    };
    const sent = response as unknown as ServerResponse;
    if (name === "withHttpRateLimit")
      withHttpRateLimit(() => resolve(), options)(request, sent).catch(reject);
    else
      rateLimitMiddleware(options)(request, sent, (error) =>
        error === undefined ? resolve() : reject(error as Error),
      );
  });
}

const wrappers = {
  withQuota: (options: never) => withQuota(handler, options),
  withRateLimit: (options: never) => withRateLimit(handler, options),
  withHttpRateLimit: (options: never) => withHttpRateLimit(() => {}, options),
  rateLimitMiddleware: (options: never) => rateLimitMiddleware(options),
};

/** Arguments of wrappers: each throws at once. */
export const WRAPPER_CASES: readonly ArgumentCase[] = [
  ...(["withQuota", "withRateLimit", "withHttpRateLimit", "rateLimitMiddleware"] as const).flatMap((name) => {
    const wrap = (options: object) => wrappers[name](options as never);
    const client = name === "withQuota" ? "quota" : "limiter";
    const others = ({ quota, limiter }: RedisQuota) =>
      name === "withQuota" ? { quota, providerId: () => "ada" } : { limiter, policy: "p" };
    return [
      // Without options the first one is missing.
      calls(`${name}(options)`, "options", (_, x) => wrap(x), [
        ...NO_OPTIONS,
        "an object whose getter throws",
      ]),
      calls(`${name}({${client}})`, client, (clients, x) => wrap({ ...others(clients), [client]: x })),
      calls(`${name}({cost})`, "cost", (clients, x) => wrap({ ...others(clients), cost: x }), [
        "undefined",
        "a function",
      ]),
    ];
  }),
  calls(
    "withQuota({providerId})",
    "providerId",
    ({ quota }, x) => withQuota(handler, { quota, providerId: x }),
    ["a function"],
  ),
  calls(
    "withQuota({idempotencyKey})",
    "idempotencyKey",
    ({ quota }, x) => withQuota(handler, { quota, providerId: () => "ada", idempotencyKey: x }),
    ["undefined", "a function"],
  ),
  calls(
    "withQuota({refundOn})",
    "refundOn",
    ({ quota }, x) => withQuota(handler, { quota, providerId: () => "ada", refundOn: x }),
    UNSET,
  ),
  calls(
    "withRateLimit({policy})",
    "policy",
    ({ limiter }, x) => withRateLimit(handler, { limiter, policy: x }),
    ["two lines"],
  ),
  calls(
    "rateLimitMiddleware({subject})",
    "subject",
    ({ limiter }, x) => rateLimitMiddleware({ limiter, policy: "p", subject: x }),
    ["undefined", "a function"],
  ),
  calls("withQuota(handler)", "handler", ({ quota }, x) => withQuota(x, { quota, providerId: () => "ada" }), [
    "a function",
  ]),
  calls("withRateLimit(handler)", "handler", ({ limiter }, x) => withRateLimit(x, { limiter, policy: "p" }), [
    "a function",
  ]),
  calls(
    "withHttpRateLimit(handler)",
    "handler",
    ({ limiter }, x) => withHttpRateLimit(x, { limiter, policy: "p" }),
    ["a function"],
  ),
];

/** Every case with every value that is not valid for it. */
export function rowsOf(
  cases: readonly ArgumentCase[],
): [entry: string, name: string, field: string, call: (clients: RedisQuota) => unknown][] {
  return cases.flatMap(({ entry, field, call, valid = [] }) =>
    Object.entries(BAD_VALUES)
      .filter(([name]) => !valid.includes(name))
      .map(([name, value]): [string, string, string, (clients: RedisQuota) => unknown] => [
        entry,
        name,
        field,
        (clients) => call(clients, value as never),
      ]),
  );
}
