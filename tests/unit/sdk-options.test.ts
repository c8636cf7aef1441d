import { createRedisQuota } from "../../functions/src/lib";
import { parseOptions } from "../../functions/src/sdk/options";

const HOST = { redisHost: "10.0.0.3" };

test("what is not told comes from the environment, and then from the form's defaults", () => {
  const environment = {
    REDIS_HOST: "10.0.0.9",
    REDIS_PORT: "6380",
    MODE: "redis-primary",
    LOCATION: "nowhere",
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
    keyPrefix: "frq",
  });
  expect(quota).toMatchObject({ mode: "redis-primary", collectionPath: "providers", defaultLimit: 0 });
});

test("every bad option is named, with what it got and what is valid", () => {
  const policy = { name: "p", by: "uid" as const, limits: [] };
  const options = { redisHost: "redis://x", redisPort: 0, quotaTtlSeconds: 1, rateLimitPolicies: [policy] };
  const error = (() => {
    try {
      return parseOptions(options, {});
    } catch (thrown) {
      return thrown as Error;
    }
  })();
  expect((error as Error).message).toMatch(
    new RegExp(
      '^4 invalid params:\\n {2}Expected `REDIS_HOST` .*; got "redis://x"\\.\\n {2}Expected `REDIS_PORT` .*; got "0"\\.\\n' +
        ' {2}Expected `QUOTA_TTL_SECONDS` .*; got "1"\\.\\n {2}Expected `RATE_LIMIT_POLICIES\\[0\\]\\.limits` to be an array of 1 to 8 limits; got \\[\\]\\.$',
    ),
  );
});

test("an option that there is not is refused", () => {
  expect(() => createRedisQuota({ ...HOST, redisHots: "x" } as never)).toThrow(
    /^Expected `options` to be an object with only redisHost, .*; got the unknown option "redisHots"\.$/,
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
  expect(parseOptions(options, {}).redis).toMatchObject({
    port: { version: version("port") },
    password: { version: version("auth") },
    tls: true,
    ca: { version: version("ca") },
  });
});
