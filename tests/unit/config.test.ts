import { ConfigError, parseConfig } from "../../functions/src/config/config";
import type { ParamValues } from "../../functions/src/config/param-specs";

const VALID: ParamValues = {
  LOCATION: "europe-west1",
  REDIS_HOST: "10.0.0.3",
  VPC_CONNECTOR: "projects/p/locations/europe-west1/connectors/functions-connector",
};

function problemsOf(values: ParamValues): string[] {
  try {
    const { policies } = parseConfig(values).rateLimit;
    if (policies instanceof ConfigError) throw policies;
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ problem }) => problem);
    throw error;
  }
  return [];
}

test("params that are not set have the form's defaults, also where the form sends an empty string", () => {
  const config = parseConfig({ ...VALID, QUOTA_TTL_SECONDS: "", RATE_LIMIT_POLICIES: "" });
  expect(config).toEqual({
    database: "(default)",
    redis: {
      host: "10.0.0.3",
      port: 6379,
      topology: "standalone",
      password: undefined,
      tls: false,
      ca: undefined,
      timeoutMs: 100,
      keyPrefix: "frq",
    },
    session: { collectionPath: "redisQuotaSessions", ttlSeconds: 3600, mode: "dual-write" },
    quota: {
      collectionPath: "providers",
      usedField: "aiCallsUsed",
      limitField: "aiCallsLimit",
      defaultLimit: 100,
      ttlSeconds: 300,
      missingProvider: "default-limit",
      onChange: "update",
      mode: "dual-write",
    },
    rateLimit: { policies: [], policyCollection: undefined, trustedProxies: [] },
    location: "europe-west1",
    backfillOnInstall: false,
    enforceAppCheck: false,
    checkAccess: "owner",
    adminClaim: "admin",
  });
});

test("each trusted proxy that is no address or CIDR block is an error", () => {
  expect(
    parseConfig({ ...VALID, TRUSTED_PROXIES: "203.0.113.0/24,2001:db8::1" }).rateLimit.trustedProxies,
  ).toHaveLength(2);
  expect(problemsOf({ ...VALID, TRUSTED_PROXIES: "203.0.113.0/24, cdn.example, 1.2.3.4/33" })).toEqual(
    ["cdn.example", "1.2.3.4/33"].map((part): unknown =>
      expect.stringContaining(
        `\`TRUSTED_PROXIES\` to be IP addresses or CIDR blocks, separated by commas; got "${part}"`,
      ),
    ),
  );
});

test("the collection of policies is a path, and may be left out", () => {
  const collectionOf = (path: string) =>
    parseConfig({ ...VALID, RATE_LIMIT_POLICY_COLLECTION: path }).rateLimit.policyCollection;
  expect(collectionOf("")).toBeUndefined();
  expect(collectionOf("rateLimitPolicies")).toBe("rateLimitPolicies");
  expect(collectionOf("tenants/acme/policies")).toBe("tenants/acme/policies");
  expect(problemsOf({ ...VALID, RATE_LIMIT_POLICY_COLLECTION: "tenants/acme" })).toEqual([
    expect.stringMatching(
      /^Expected `RATE_LIMIT_POLICY_COLLECTION` to be the path of a collection.*, or empty; got "tenants\/acme"/,
    ),
  ]);
});

test("host, port, password and certificate may be secrets, by default in their newest version", () => {
  const { redis } = parseConfig({
    ...VALID,
    REDIS_HOST: "projects/p/secrets/REDIS_HOST",
    REDIS_PORT: "projects/123/secrets/redis-port/versions/7",
    REDIS_AUTH_SECRET: "projects/example.com:p/secrets/auth/versions/latest",
    REDIS_TLS: "true",
    REDIS_CA_SECRET: "projects/p/secrets/ca",
  });
  expect(redis).toMatchObject({
    host: { param: "REDIS_HOST", version: "projects/p/secrets/REDIS_HOST/versions/latest" },
    port: { param: "REDIS_PORT", version: "projects/123/secrets/redis-port/versions/7" },
    password: {
      param: "REDIS_AUTH_SECRET",
      version: "projects/example.com:p/secrets/auth/versions/latest",
    },
    tls: true,
    ca: { param: "REDIS_CA_SECRET", version: "projects/p/secrets/ca/versions/latest" },
  });
});

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB+secret\n-----END CERTIFICATE-----";

test.each<[Partial<ParamValues>, string]>([
  [{ REDIS_AUTH_SECRET: "hunter2-secret" }, "REDIS_AUTH_SECRET"],
  [{ REDIS_AUTH_SECRET: "projects/p/secrets/a/hunter2-secret" }, "REDIS_AUTH_SECRET"],
  [{ REDIS_CA_SECRET: PEM, REDIS_TLS: "true" }, "REDIS_CA_SECRET"],
  [{ REDIS_HOST: "redis://:hunter2-secret@10.0.0.3" }, "REDIS_HOST"],
])("%j: what is a secret in the wrong place is an error that does not show it", (values, param) => {
  const problems = problemsOf({ ...VALID, ...values });
  expect(problems).toEqual([
    expect.stringMatching(
      `^Expected \`${param}\` to be .*projects/PROJECT/secrets/SECRET.*; got a value that is not shown\\.$`,
    ),
  ]);
  expect(problems.join()).not.toMatch(/hunter2|MIIB/);
});

test("a default limit of 0 is 0", () => {
  expect(parseConfig({ ...VALID, QUOTA_DEFAULT_LIMIT: "0" }).quota.defaultLimit).toBe(0);
});

test.each(["10.0.0.3", "redis.internal", "localhost", "redis_cache", "::1", "fd00::1:2"])(
  "REDIS_HOST may be %s",
  (host) => {
    expect(parseConfig({ ...VALID, REDIS_HOST: host }).redis.host).toBe(host);
  },
);

test.each<[Partial<ParamValues>, RegExp]>([
  [{ REDIS_HOST: "" }, /^Expected `REDIS_HOST` to be a host name.*; got no value/],
  [
    { REDIS_HOST: "10.0.0.3:6379" },
    /^Expected `REDIS_HOST` to be .*without a scheme or a port.*; got "10.0.0.3:6379"/,
  ],
  [{ REDIS_HOST: "redis://10.0.0.3" }, /^Expected `REDIS_HOST` to be .*; got "redis:\/\/10.0.0.3"/],
  [{ REDIS_PORT: "0" }, /^Expected `REDIS_PORT` to be a port number from 1 to 65535.*; got "0"/],
  [{ REDIS_PORT: "65536" }, /^Expected `REDIS_PORT` to be .*; got "65536"/],
  [{ REDIS_PORT: "six" }, /^Expected `REDIS_PORT` to be .*; got "six"/],
  [{ REDIS_PORT: "projects/p/secrets" }, /^Expected `REDIS_PORT` to be a port.*; got "projects\/p\/secrets"/],
  [
    { REDIS_HOST: "projects/p/secrets/s/versions" },
    /^Expected `REDIS_HOST` to be a host name .*, or .*; got "projects/,
  ],
  [{ REDIS_TLS: "yes" }, /^Expected `REDIS_TLS` to be true or false.*; got "yes"/],
  [
    { REDIS_CA_SECRET: "projects/p/secrets/ca" },
    /^Expected `REDIS_CA_SECRET` to be empty while REDIS_TLS is false; got a secret/,
  ],
  [
    { QUOTA_TTL_SECONDS: "119" },
    /^Expected `QUOTA_TTL_SECONDS` to be a number of seconds from 120.*; got "119"/,
  ],
  [{ QUOTA_DEFAULT_LIMIT: "-1" }, /^Expected `QUOTA_DEFAULT_LIMIT` to be a whole number.*; got "-1"/],
  [{ QUOTA_DEFAULT_LIMIT: "1e3" }, /^Expected `QUOTA_DEFAULT_LIMIT` to be .*; got "1e3"/],
  [
    { REDIS_TIMEOUT_MS: "99999" },
    /^Expected `REDIS_TIMEOUT_MS` to be a number of milliseconds.*; got "99999"/,
  ],
  [
    { REDIS_TIMEOUT_MS: "09" },
    /^Expected `REDIS_TIMEOUT_MS` to be a number of milliseconds from 10.*; got "09"/,
  ],
  [
    { REDIS_TIMEOUT_MS: "9" },
    /^Expected `REDIS_TIMEOUT_MS` to be a number of milliseconds from 10.*; got "9"/,
  ],
  [{ REDIS_TIMEOUT_MS: "10001" }, /^Expected `REDIS_TIMEOUT_MS` to be .*; got "10001"/],
  [
    { QUOTA_COLLECTION_PATH: "providers/p1" },
    /^Expected `QUOTA_COLLECTION_PATH` to be .*; got "providers\/p1"/,
  ],
  [
    { QUOTA_COLLECTION_PATH: "tenants/{tenant}/providers" },
    /^Expected `QUOTA_COLLECTION_PATH` to be .*without wildcards/,
  ],
  [{ MODE: "redis" }, /^Expected `MODE` to be firestore, dual-write or redis-primary.*; got "redis"/],
  [
    { SYNC_SCHEDULE: "daily" },
    /^Expected `SYNC_SCHEDULE` to be a schedule such as every 5 minutes.*; got "daily"/,
  ],
  [{ SYNC_SCHEDULE: "*/5 * * *" }, /^Expected `SYNC_SCHEDULE` to be .*; got "\*\/5 \* \* \*"/],
  [{ ADMIN_CLAIM: "is admin" }, /^Expected `ADMIN_CLAIM` to be the name of a custom claim.*; got "is admin"/],
  ...["email_verified", "email", "sub", "firebase", "uid", "name", "phone_number"].map(
    (claim): [Record<string, string>, RegExp] => [
      { ADMIN_CLAIM: claim },
      new RegExp(
        `^Expected \`ADMIN_CLAIM\` to be the name of a custom claim, not of one that Firebase sets; got "${claim}"\\.$`,
      ),
    ],
  ),
  [{ CHECK_ACCESS: "anyone" }, /^Expected `CHECK_ACCESS` to be owner or signed-in; got "anyone"\.$/],
  [{ ADMIN_CLAIM: "a".repeat(65) }, /^Expected `ADMIN_CLAIM` to be .*; got "a{65}"\.$/],
  [{ BACKFILL_ON_INSTALL: "1" }, /^Expected `BACKFILL_ON_INSTALL` to be true or false.*; got "1"/],
  [
    { VPC_CONNECTOR_EGRESS_SETTINGS: "ALL" },
    /^Expected `VPC_CONNECTOR_EGRESS_SETTINGS` to be PRIVATE_RANGES_ONLY or ALL_TRAFFIC.*; got "ALL"/,
  ],
  [{ ON_CHANGE: "ignore" }, /^Expected `ON_CHANGE` to be update or invalidate.*; got "ignore"/],
  [{ MISSING_PROVIDER: "allow" }, /^Expected `MISSING_PROVIDER` to be .*; got "allow"/],
  [{ ENFORCE_APP_CHECK: "yes" }, /^Expected `ENFORCE_APP_CHECK` to be .*; got "yes"/],
  [{ KEY_PREFIX: "a{b}" }, /^Expected `KEY_PREFIX` to be .*; got "a\{b\}"/],
  [{ LOCATION: "mars-north1" }, /^Expected `LOCATION` to be a region.*; got "mars-north1"/],
  [
    { QUOTA_LIMIT_FIELD: "aiCallsUsed" },
    /^Expected `QUOTA_LIMIT_FIELD` to be a field apart from QUOTA_USED_FIELD/,
  ],
  [
    { QUOTA_LIMIT_FIELD: "aiCallsUsed.limit" },
    /^Expected `QUOTA_LIMIT_FIELD` to be a field apart from QUOTA_USED_FIELD/,
  ],
  [
    { VPC_CONNECTOR: "projects/p/locations/us-central1/connectors/c" },
    /^Expected `VPC_CONNECTOR` to be a connector in LOCATION, "europe-west1"; got one in "us-central1"/,
  ],
  [
    { VPC_CONNECTOR: "functions-connector" },
    /^Expected `VPC_CONNECTOR` to be projects\/.*; got "functions-connector"/,
  ],
  [
    { VPC_NETWORK: "Default" },
    /^Expected `VPC_NETWORK` to be the name of a VPC network.*, or empty; got "Default"/,
  ],
  [
    { VPC_SUBNETWORK: "a/b" },
    /^Expected `VPC_SUBNETWORK` to be the name of a VPC subnetwork.*, or empty; got "a\/b"/,
  ],
  [{ DATABASE: "EU" }, /^Expected `DATABASE` to be \(default\), or the id.*; got "EU"/],
  [{ DATABASE: "sql://me:secret@db/x" }, /^Expected `DATABASE` to be .*; got a value that is not shown/],
])("%j is an error that names the param and what is valid", (values, problem) => {
  const problems = problemsOf({ ...VALID, ...values });
  expect(problems).toContainEqual(expect.stringMatching(problem));
});

test.each<[Partial<ParamValues>]>([
  [{ SYNC_SCHEDULE: "0 3 * * *" }],
  [{ SYNC_SCHEDULE: "every 24 hours" }],
  [{ REDIS_TIMEOUT_MS: "10" }],
  [{ MODE: "redis-primary" }],
  [{ ADMIN_CLAIM: "_staff2" }],
  [{ VPC_CONNECTOR: "" }],
  [{ VPC_CONNECTOR: "", VPC_NETWORK: "default" }],
  [{ VPC_CONNECTOR: "", VPC_SUBNETWORK: "projects/p/regions/europe-west1/subnetworks/functions" }],
  // The CLI's way from the extension takes the connector along.
  [{ VPC_CONNECTOR: "projects/p/locations/us-central1/connectors/c", VPC_NETWORK: "default" }],
  [{ DATABASE: "(default)" }],
  [{ DATABASE: "quotas-eu" }],
])("%j is valid", (values) => {
  expect(problemsOf({ ...VALID, ...values })).toEqual([]);
});

test.each<[Partial<ParamValues>]>([
  [{ VPC_CONNECTOR: "functions-connector" }],
  [{ VPC_CONNECTOR: "projects/p/locations/us-central1" }],
  [{ REDIS_TIMEOUT_MS: "x" }],
])("%j is reported once", (values) => {
  expect(problemsOf({ ...VALID, ...values })).toHaveLength(1);
});

test("all errors are reported at once", () => {
  const problems = problemsOf({ ...VALID, REDIS_HOST: "a:b", REDIS_PORT: "x", RATE_LIMIT_POLICIES: "{" });
  expect(problems.map((problem) => problem.split("`")[1])).toEqual([
    "REDIS_HOST",
    "REDIS_PORT",
    "RATE_LIMIT_POLICIES",
  ]);
});

test("errors in RATE_LIMIT_POLICIES alone are returned, and stop nothing else", () => {
  const policy = { name: "p", by: "nobody", limits: [] };
  const { rateLimit, quota } = parseConfig({ ...VALID, RATE_LIMIT_POLICIES: JSON.stringify([policy]) });
  expect(quota.collectionPath).toBe("providers");
  expect(rateLimit.policies).toBeInstanceOf(ConfigError);
  expect((rateLimit.policies as ConfigError).problems).toEqual([
    {
      param: "RATE_LIMIT_POLICIES",
      problem: 'Expected `RATE_LIMIT_POLICIES[0].by` to be uid, ip, app, subject or global; got "nobody".',
    },
    {
      param: "RATE_LIMIT_POLICIES",
      problem: "Expected `RATE_LIMIT_POLICIES[0].limits` to be an array of 1 to 8 limits; got [].",
    },
  ]);
});

test("a param that two settings are read from is reported once", () => {
  expect(problemsOf({ ...VALID, MODE: "redis", QUOTA_COLLECTION_PATH: "a/b" })).toEqual([
    'Expected `QUOTA_COLLECTION_PATH` to be the path of a collection, such as providers or tenants/acme/providers, without wildcards; got "a/b".',
    'Expected `MODE` to be firestore, dual-write or redis-primary; got "redis".',
  ]);
});
