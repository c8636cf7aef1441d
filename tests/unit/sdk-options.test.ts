import { createRedisQuota } from "../../functions/src/lib";
import { parseOptions } from "../../functions/src/sdk/options";

const HOST = { redisHost: "10.0.0.3" };

test("an option that is left out comes from REDIS_QUOTA_ and the param's name, and then from the form's defaults", () => {
  const environment = {
    REDIS_QUOTA_REDIS_HOST: "10.0.0.9",
    REDIS_QUOTA_REDIS_PORT: "6380",
    REDIS_QUOTA_MODE: "redis-primary",
    REDIS_QUOTA_KEY_PREFIX: "app",
  };
  const { redis, quota } = parseOptions({ ...HOST, quotaDefaultLimit: 0 }, environment);
  expect(redis).toEqual({
    host: "10.0.0.3",
    port: 6380,
    topology: "standalone",
    password: undefined,
    tls: false,
    ca: undefined,
    timeoutMs: 100,
    keyPrefix: "app",
  });
  expect(quota).toMatchObject({ mode: "redis-primary", collectionPath: "providers", defaultLimit: 0 });
});

test("variables that belong to the app or to its tools have no effect", () => {
  const environment = { MODE: "test", DATABASE: "postgres://db", KEY_PREFIX: "a b", REDIS_TLS: "yes" };
  const { database, quota } = parseOptions(HOST, environment);
  expect(database).toBe("(default)");
  expect(quota.mode).toBe("dual-write");
});

test.each<[string, object, Record<string, string>, [string, number]]>([
  ["alone", {}, { REDIS_HOST: "10.0.0.1", REDIS_PORT: "6380" }, ["10.0.0.1", 6380]],
  ["without a port", {}, { REDIS_HOST: "10.0.0.1" }, ["10.0.0.1", 6379]],
  ["with the option redisPort", { redisPort: 7 }, { REDIS_HOST: "10.0.0.1" }, ["10.0.0.1", 7]],
  ["not with the option redisHost", HOST, { REDIS_HOST: "other", REDIS_PORT: "6380" }, ["10.0.0.3", 6379]],
  [
    "not with REDIS_QUOTA_REDIS_HOST",
    {},
    { REDIS_QUOTA_REDIS_HOST: "10.0.0.2", REDIS_HOST: "other", REDIS_PORT: "6380" },
    ["10.0.0.2", 6379],
  ],
])("REDIS_HOST and REDIS_PORT have the address %s", (_, options, environment, [host, port]) => {
  expect(parseOptions(options, environment).redis).toMatchObject({ host, port });
});

test("every invalid setting is named as it was written: the option, or the variable", () => {
  const policy = { name: "p", by: "uid" as const, limits: [] };
  const options = { redisPort: 0, quotaTtlSeconds: 1, rateLimitPolicies: [policy], quotaUsedField: "used" };
  const environment = {
    REDIS_HOST: "redis://x",
    REDIS_QUOTA_MODE: "test",
    REDIS_QUOTA_QUOTA_LIMIT_FIELD: "used",
  };
  expect(() => parseOptions(options, environment)).toThrow(
    new RegExp(
      [
        "^6 invalid params:",
        'Expected `REDIS_QUOTA_QUOTA_LIMIT_FIELD` to be a field apart from quotaUsedField, "used"; got "used"\\.',
        'Expected `REDIS_HOST` to be a host name .*; got "redis://x"\\.',
        'Expected `redisPort` to be a port number .*; got "0"\\.',
        'Expected `quotaTtlSeconds` to be a number of seconds .*; got "1"\\.',
        'Expected `REDIS_QUOTA_MODE` to be firestore, dual-write or redis-primary; got "test"\\.',
        "Expected `rateLimitPolicies\\[0\\]\\.limits` to be an array of 1 to 8 limits; got \\[\\]\\.$",
      ].join("\n {2}"),
    ),
  );
});

test("an option that there is not is refused", () => {
  expect(() => createRedisQuota({ ...HOST, redisHots: "x" } as never)).toThrow(
    /^Expected `options` to be an object with only redisHost, .*; got the unknown field "redisHots"\.$/,
  );
});

test("without a host there is a clear error", () => {
  expect(() => parseOptions({}, {})).toThrow(/Expected `REDIS_HOST` to be a host name.*; got no value\./);
});

test("password, certificate and port can be secrets", () => {
  const version = (secret: string) => `projects/p/secrets/${secret}/versions/latest`;
  const options = {
    ...HOST,
    redisPort: "projects/p/secrets/port",
    redisAuthSecret: "projects/p/secrets/auth",
    redisTls: true,
    redisCaSecret: "projects/p/secrets/ca",
  };
  expect(parseOptions(options).redis).toMatchObject({
    port: { param: "redisPort", version: version("port") },
    password: { version: version("auth") },
    tls: true,
    ca: { version: version("ca") },
  });
});
