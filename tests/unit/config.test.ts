import { ConfigError, parseConfig } from "../../functions/src/config/config";
import type { ParamValues } from "../../functions/src/config/param-specs";

const VALID: ParamValues = {
  LOCATION: "europe-west1",
  REDIS_HOST: "10.0.0.3",
  VPC_CONNECTOR: "projects/p/locations/europe-west1/connectors/functions-connector",
};

function problemsOf(values: ParamValues): string[] {
  try {
    parseConfig(values);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ param, problem }) => `${param}: ${problem}`);
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
    session: { collectionPath: "sessions", ttlSeconds: 3600, mode: "dual-write" },
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
    rateLimit: { policies: [], policyCollection: undefined },
    location: "europe-west1",
    backfillOnInstall: false,
    enforceAppCheck: false,
    adminClaim: "admin",
  });
});

test("the collection of policies is a path, and may be left out", () => {
  const collectionOf = (path: string) =>
    parseConfig({ ...VALID, RATE_LIMIT_POLICY_COLLECTION: path }).rateLimit.policyCollection;
  expect(collectionOf("")).toBeUndefined();
  expect(collectionOf("rateLimitPolicies")).toBe("rateLimitPolicies");
  expect(collectionOf("tenants/acme/policies")).toBe("tenants/acme/policies");
  expect(problemsOf({ ...VALID, RATE_LIMIT_POLICY_COLLECTION: "tenants/acme" })).toEqual([
    expect.stringMatching(/^RATE_LIMIT_POLICY_COLLECTION: got "tenants\/acme"; expected nothing, or/),
  ]);
});

test("host, port, password and certificate may be secrets, by default in their newest version", () => {
  const { redis } = parseConfig({
    ...VALID,
    REDIS_HOST: "projects/p/secrets/REDIS_HOST",
    REDIS_PORT: "projects/123/secrets/redis-port/versions/7",
    REDIS_AUTH_SECRET: "projects/example.com:p/secrets/auth/versions/latest",
    REDIS_TLS: "true",
    REDIS_CA_SECRET: " projects/p/secrets/ca ",
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
      `^${param}: got something else, which is not shown; expected .*projects/PROJECT/secrets/SECRET`,
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
  [{ REDIS_HOST: "" }, /^REDIS_HOST: not set; expected a host name/],
  [
    { REDIS_HOST: "10.0.0.3:6379" },
    /^REDIS_HOST: got "10.0.0.3:6379"; expected .*without a scheme or a port/,
  ],
  [{ REDIS_HOST: "redis://10.0.0.3" }, /^REDIS_HOST: got "redis:\/\/10.0.0.3"/],
  [{ REDIS_PORT: "0" }, /^REDIS_PORT: got "0"; expected a port number from 1 to 65535/],
  [{ REDIS_PORT: "65536" }, /^REDIS_PORT: got "65536"/],
  [{ REDIS_PORT: "six" }, /^REDIS_PORT: got "six"/],
  [{ REDIS_PORT: "projects/p/secrets" }, /^REDIS_PORT: got "projects\/p\/secrets"; expected a port/],
  [
    { REDIS_HOST: "projects/p/secrets/s/versions" },
    /^REDIS_HOST: got "projects.*expected a host name .*, or/,
  ],
  [{ REDIS_TLS: "yes" }, /^REDIS_TLS: got "yes"; expected true or false/],
  [
    { REDIS_CA_SECRET: "projects/p/secrets/ca" },
    /^REDIS_CA_SECRET: got a secret; expected nothing while REDIS_TLS is false/,
  ],
  [{ QUOTA_TTL_SECONDS: "119" }, /^QUOTA_TTL_SECONDS: got "119"; expected a number of seconds from 120/],
  [{ QUOTA_DEFAULT_LIMIT: "-1" }, /^QUOTA_DEFAULT_LIMIT: got "-1"; expected a whole number/],
  [{ QUOTA_DEFAULT_LIMIT: "1e3" }, /^QUOTA_DEFAULT_LIMIT: got "1e3"/],
  [{ REDIS_TIMEOUT_MS: "99999" }, /^REDIS_TIMEOUT_MS: got "99999"; expected a number of milliseconds/],
  [{ REDIS_TIMEOUT_MS: "09" }, /^REDIS_TIMEOUT_MS: got "09"; expected a number of milliseconds from 10/],
  [{ REDIS_TIMEOUT_MS: "9" }, /^REDIS_TIMEOUT_MS: got "9"; expected a number of milliseconds from 10/],
  [{ REDIS_TIMEOUT_MS: "10001" }, /^REDIS_TIMEOUT_MS: got "10001"/],
  [{ QUOTA_COLLECTION_PATH: "providers/p1" }, /^QUOTA_COLLECTION_PATH: got "providers\/p1"/],
  [{ QUOTA_COLLECTION_PATH: "tenants/{tenant}/providers" }, /^QUOTA_COLLECTION_PATH: .*without wildcards/],
  [{ MODE: "redis" }, /^MODE: got "redis"; expected firestore, dual-write or redis-primary/],
  [{ SYNC_SCHEDULE: "daily" }, /^SYNC_SCHEDULE: got "daily"; expected a schedule such as every 5 minutes/],
  [{ SYNC_SCHEDULE: "*/5 * * *" }, /^SYNC_SCHEDULE: got "\*\/5 \* \* \*"/],
  [{ ADMIN_CLAIM: "is admin" }, /^ADMIN_CLAIM: got "is admin"; expected the name of a custom claim/],
  [{ ADMIN_CLAIM: "a".repeat(65) }, /^ADMIN_CLAIM: got "a{65}"/],
  [{ BACKFILL_ON_INSTALL: "1" }, /^BACKFILL_ON_INSTALL: got "1"; expected true or false/],
  [
    { VPC_CONNECTOR_EGRESS_SETTINGS: "ALL" },
    /^VPC_CONNECTOR_EGRESS_SETTINGS: got "ALL"; expected PRIVATE_RANGES_ONLY or ALL_TRAFFIC/,
  ],
  [{ ON_CHANGE: "ignore" }, /^ON_CHANGE: got "ignore"; expected update or invalidate/],
  [{ MISSING_PROVIDER: "allow" }, /^MISSING_PROVIDER: got "allow"/],
  [{ ENFORCE_APP_CHECK: "yes" }, /^ENFORCE_APP_CHECK: got "yes"/],
  [{ KEY_PREFIX: "a{b}" }, /^KEY_PREFIX: got "a\{b\}"/],
  [{ LOCATION: "mars-north1" }, /^LOCATION: got "mars-north1"; expected a region/],
  [{ QUOTA_LIMIT_FIELD: "aiCallsUsed" }, /^QUOTA_LIMIT_FIELD: .*a field apart from QUOTA_USED_FIELD/],
  [{ QUOTA_LIMIT_FIELD: "aiCallsUsed.limit" }, /^QUOTA_LIMIT_FIELD: .*a field apart from QUOTA_USED_FIELD/],
  [
    { VPC_CONNECTOR: "projects/p/locations/us-central1/connectors/c" },
    /^VPC_CONNECTOR: got a connector in "us-central1"; expected one in LOCATION, "europe-west1"/,
  ],
  [
    { VPC_CONNECTOR: "functions-connector" },
    /^VPC_CONNECTOR: got "functions-connector"; expected projects\//,
  ],
  [{ VPC_CONNECTOR: "" }, /^VPC_CONNECTOR: not set; expected projects\//],
  [{ VPC_NETWORK: "Default" }, /^VPC_NETWORK: got "Default"; expected nothing, or the name of a VPC network/],
  [{ VPC_SUBNETWORK: "a/b" }, /^VPC_SUBNETWORK: got "a\/b"; expected nothing, or/],
  [{ DATABASE: "EU" }, /^DATABASE: got "EU"; expected \(default\), or the id/],
  [{ DATABASE: "sql://me:secret@db/x" }, /^DATABASE: got something else, which is not shown/],
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
  [{ VPC_CONNECTOR: "" }],
  [{ REDIS_TIMEOUT_MS: "x" }],
])("%j is reported once", (values) => {
  expect(problemsOf({ ...VALID, ...values })).toHaveLength(1);
});

test("all errors are reported at once", () => {
  const problems = problemsOf({ ...VALID, REDIS_HOST: "a:b", REDIS_PORT: "x", RATE_LIMIT_POLICIES: "{" });
  expect(problems.map((problem) => problem.split(":")[0])).toEqual([
    "REDIS_HOST",
    "REDIS_PORT",
    "RATE_LIMIT_POLICIES",
  ]);
});

test("a param that two settings are read from is reported once", () => {
  expect(problemsOf({ ...VALID, MODE: "redis", QUOTA_COLLECTION_PATH: "a/b" })).toEqual([
    'QUOTA_COLLECTION_PATH: got "a/b"; expected the path of a collection, such as providers or tenants/acme/providers, without wildcards',
    'MODE: got "redis"; expected firestore, dual-write or redis-primary',
  ]);
});
