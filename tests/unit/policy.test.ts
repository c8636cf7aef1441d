import { checkPolicy, InvalidPolicies, parsePolicies } from "../../functions/src/rate-limit/policy";

const POLICY = {
  name: "ai-chat",
  by: "uid",
  limits: [{ algorithm: "fixed-window", limit: 10, windowMs: 60_000 }],
};

function problemsOf(policies: unknown): readonly string[] {
  try {
    parsePolicies(typeof policies === "string" ? policies : JSON.stringify(policies));
  } catch (error) {
    if (error instanceof InvalidPolicies) return error.problems;
    throw error;
  }
  return [];
}

test("a policy gets its defaults: the process itself limits without Redis, a burst is as large as the limit", () => {
  const [policy] = parsePolicies(JSON.stringify([POLICY]));
  expect(policy).toEqual({
    name: "ai-chat",
    by: "uid",
    maxCost: 1,
    subnets: undefined,
    limits: {
      policy: "ai-chat",
      counts: "ai-chat",
      onRedisFailure: "local",
      shape: "f60000",
      blockedUntilMs: 0,
      limits: [
        {
          algorithm: "fixed-window",
          limit: 10,
          windowMs: 60_000,
          capacity: 10,
          spanMs: 60_000,
          unitMs: 60_000,
        },
      ],
    },
    overrides: new Map(),
  });
});

test.each([
  ["10 s", 10_000],
  ["1 m", 60_000],
  ["12h", 43_200_000],
  ["1 d", 86_400_000],
  ["1 w", 604_800_000],
  ["52w", 31_449_600_000],
  ["250 ms", 250],
  [1500, 1500],
])("a window of %j is %i ms", (window, windowMs) => {
  const limit = { algorithm: "sliding-window", limit: 1 };
  for (const written of [
    { ...limit, window },
    { ...limit, windowMs: window },
  ])
    expect(checkPolicy("p", { by: "uid", limits: [written] }).limits.limits[0]).toMatchObject({ windowMs });
});

test("an override replaces the limits of one subject, and a burst grows and shrinks with its limit", () => {
  const { limits, overrides } = checkPolicy("p", {
    by: "uid",
    limits: [
      { algorithm: "token-bucket", limit: 10, window: "1 s", burst: 5 },
      { algorithm: "fixed-window", limit: 100, window: "1 d" },
    ],
    overrides: [
      { subject: "customer", limits: [100, 100] },
      { subject: "suspended", blockedUntil: "2030-01-01T00:00:00+01:00" },
    ],
  });
  expect(limits.shape).toBe("t1000+f86400000");
  const customer = overrides.get("customer")!;
  expect(customer.limits.map(({ limit, capacity }) => [limit, capacity])).toEqual([
    [100, 50],
    [100, 100],
  ]);
  const suspended = overrides.get("suspended")!;
  expect(suspended.blockedUntilMs).toBe(Date.UTC(2029, 11, 31, 23));
  expect(suspended.limits).toEqual(limits.limits);
});

test("a policy by IP address counts networks, and its overrides are for them", () => {
  const byIp = (fields: object) => checkPolicy("p", { ...POLICY, by: "ip", ...fields });
  expect(byIp({}).subnets).toEqual({ ipv4: 32, ipv6: 64 });
  expect(byIp({ ipv4Subnet: 24, ipv6Subnet: 56 }).subnets).toEqual({ ipv4: 24, ipv6: 56 });
  const overrides = ["2001:DB8:1:2::77", "::ffff:192.0.2.1", "unknown"].map((subject) => ({
    subject,
    limits: [1],
  }));
  expect([...byIp({ overrides }).overrides.keys()]).toEqual(["2001:db8:1:2::/64", "192.0.2.1", "unknown"]);
});

test.each<[string, unknown, RegExp]>([
  [
    "a subnet of a policy by uid",
    [{ ...POLICY, ipv6Subnet: 64 }],
    /^Expected `policies\[0\]\.ipv6Subnet` to be a prefix length from 32 to 128, for a policy by ip only; got 64/,
  ],
  [
    "a subnet that is too wide",
    [{ ...POLICY, by: "ip", ipv4Subnet: 0 }],
    /^Expected `policies\[0\]\.ipv4Subnet` to be a prefix length from 8 to 32, for a policy by ip only; got 0/,
  ],
  [
    "an address that is overridden twice, in two spellings",
    [{ ...POLICY, by: "ip", overrides: [{ subject: "2001:db8::1" }, { subject: "2001:DB8:0::2" }] }],
    /^Expected `policies\[0\]\.overrides` to be overrides of different subjects/,
  ],
  ["text that is no JSON", "[{", /^Expected `policies` to be a JSON array of policies.*; got "\[\{"/],
  ["no array", { name: "x" }, /^Expected `policies` to be an array of policies.*; got \{"name":"x"\}/],
  [
    "no name",
    [{ ...POLICY, name: undefined }],
    /^Expected `policies\[0\]\.name` to be a name of 1 to 64.*; got undefined/,
  ],
  [
    "a bad name",
    [{ ...POLICY, name: "a b" }],
    /^Expected `policies\[0\]\.name` to be a name of 1 to 64.*; got "a b"/,
  ],
  [
    "an unknown subject",
    [{ ...POLICY, by: "cookie" }],
    /^Expected `policies\[0\]\.by` to be uid, ip, app, subject or global.*; got "cookie"/,
  ],
  [
    "no limits",
    [{ ...POLICY, limits: [] }],
    /^Expected `policies\[0\]\.limits` to be an array of 1 to 8 limits.*; got \[\]/,
  ],
  [
    "a limit that is a string",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], limit: "ten" }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.limit` to be a whole number, 0 or more.*; got "ten"/,
  ],
  [
    "a negative limit",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], limit: -1 }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.limit` to be a whole number, 0 or more.*; got -1/,
  ],
  [
    "a window of 0",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], windowMs: 0 }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.windowMs` to be a duration such as "10 s".*; got 0/,
  ],
  [
    "a window of no known unit",
    [{ ...POLICY, limits: [{ algorithm: "fixed-window", limit: 1, window: "1 fortnight" }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.window` to be a duration such as "10 s".*; got "1 fortnight"/,
  ],
  [
    "a window that is too long",
    [{ ...POLICY, limits: [{ algorithm: "fixed-window", limit: 1, window: "367 d" }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.window` to be a duration.*; got "367 d"/,
  ],
  [
    "no window",
    [{ ...POLICY, limits: [{ algorithm: "fixed-window", limit: 1 }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.window` to be set, unless windowMs is set instead; got undefined/,
  ],
  [
    "two windows",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], window: "1 m" }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.window` to be set, unless windowMs is set instead; got "1 m"/,
  ],
  [
    "a burst of a window",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], burst: 3 }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.burst` to be unset, unless the algorithm is token-bucket; got 3/,
  ],
  [
    "a limit too large to be counted exactly",
    [{ ...POLICY, limits: [{ algorithm: "sliding-window", limit: 1_737_499_856_239, window: "30 d" }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.limit` to be at most 1737499856238 for a window of 2592000000 ms; got 1737499856239\.$/,
  ],
  [
    "a fixed window's limit too large to be counted exactly",
    [{ ...POLICY, limits: [{ algorithm: "fixed-window", limit: 2 ** 52 + 1, window: "30 d" }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.limit` to be at most 4503599627370496 for a window of 2592000000 ms; got 4503599627370497\.$/,
  ],
  [
    "a large limit in a window that is no multiple of a coarser unit",
    [{ ...POLICY, limits: [{ algorithm: "token-bucket", limit: 1_737_500, windowMs: 2_592_000_001 }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.limit` to be at most 1737499 for a window of 2592000001 ms; got 1737500\.$/,
  ],
  [
    "a burst too large to be counted exactly",
    [
      {
        ...POLICY,
        limits: [{ algorithm: "token-bucket", limit: 1e12, window: "30 d", burst: 1_737_499_856_239 }],
      },
    ],
    /^Expected `policies\[0\]\.limits\[0\]\.burst` to be at most 1737499856238 for a window of 2592000000 ms; got 1737499856239\.$/,
  ],
  [
    "a burst that takes too long to refill",
    [{ ...POLICY, limits: [{ algorithm: "token-bucket", limit: 2, window: "30 d", burst: 3_474_999 }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.burst` to be at most 3474998, so that the limit refills it within 2\^52 ms; got 3474999\.$/,
  ],
  [
    "an override too large to be counted exactly",
    [
      {
        ...POLICY,
        limits: [
          { algorithm: "fixed-window", limit: 1, window: "1 d" },
          { algorithm: "sliding-window", limit: 1, window: "30 d" },
        ],
        overrides: [{ subject: "a" }, { subject: "b", limits: [2e12, 2e12] }],
      },
    ],
    /^Expected `policies\[0\]\.overrides\[1\]\.limits\[1\]` to be at most 1737499856238 for a window of 2592000000 ms; got 2000000000000\.$/,
  ],
  [
    "an override of another number of limits",
    [{ ...POLICY, overrides: [{ subject: "a", limits: [1, 2] }] }],
    /^Expected `policies\[0\]\.overrides\[0\]\.limits` to be 1 whole numbers.*; got \[1,2\]/,
  ],
  [
    "a subject overridden twice",
    [{ ...POLICY, overrides: [{ subject: "a" }, { subject: "a" }] }],
    /^Expected `policies\[0\]\.overrides` to be overrides of different subjects; got an array\.$/,
  ],
  [
    "a block until no time",
    [{ ...POLICY, overrides: [{ subject: "a", blockedUntil: "tomorrow" }] }],
    /^Expected `policies\[0\]\.overrides\[0\]\.blockedUntil` to be a time such as.*; got "tomorrow"/,
  ],
  [
    "an unknown algorithm",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], algorithm: "magic" }] }],
    /^Expected `policies\[0\]\.limits\[0\]\.algorithm` to be fixed-window.*; got "magic"/,
  ],
  [
    "an unknown field",
    [{ ...POLICY, limit: 3 }],
    /^Expected `policies\[0\]` to be a policy with only.*; got the unknown field "limit"/,
  ],
  ["a name twice", [POLICY, POLICY], /^Expected `policies` to be policies with different names; got \[/],
  [
    "a window twice",
    [{ ...POLICY, limits: [POLICY.limits[0], POLICY.limits[0]] }],
    /^Expected `policies\[0\]\.limits` to be limits that differ in algorithm or window; got \[/,
  ],
  [
    "a policy that is an array",
    [[]],
    /^Expected `policies\[0\]` to be a policy with only name, by, limits, ipv4Subnet, ipv6Subnet, onRedisFailure, maxCost and overrides.*; got \[\]/,
  ],
  [
    "a limit that is a text",
    [{ ...POLICY, limits: ["10 a minute"] }],
    /^Expected `policies\[0\]\.limits\[0\]` to be a limit with only.*; got "10 a minute"/,
  ],
  [
    "a maxCost of 0",
    [{ ...POLICY, maxCost: 0 }],
    /^Expected `policies\[0\]\.maxCost` to be a whole number, 1 or more; got 0\.$/,
  ],
  [
    "a maxCost that is a text",
    [{ ...POLICY, maxCost: "5" }],
    /^Expected `policies\[0\]\.maxCost` to be a whole number, 1 or more; got "5"\.$/,
  ],
  [
    "an unknown onRedisFailure",
    [{ ...POLICY, onRedisFailure: "retry" }],
    /^Expected `policies\[0\]\.onRedisFailure` to be local, open or closed; got "retry"\.$/,
  ],
])("%s is refused, naming where", (_, policies, problem) => {
  expect(problemsOf(policies).join("\n")).toMatch(problem);
});

test.each([
  ["fixed-window", 5_000_000, 2_592_000_000],
  ["fixed-window", 2 ** 52, 2_592_000_000],
  ["sliding-window", 5_000_000, 10],
  ["sliding-window", 1_737_499, 1],
  ["sliding-window", 1_737_500, 10],
  ["token-bucket", 1_737_499, 1],
  ["token-bucket", 1_737_500, 10],
  ["token-bucket", 17_374_998, 10],
  ["token-bucket", 17_374_999, 100],
  ["token-bucket", 1_737_499_856_238, 1_000_000],
] as const)("a %s of %i per 30 days counts time in units of %i ms", (algorithm, limit, unitMs) => {
  const limits = [{ algorithm, limit, window: "30 d" }];
  expect(checkPolicy("p", { ...POLICY, limits }).limits.limits).toMatchObject([{ unitMs }]);
});

test("another unit starts a new count of a token bucket only, and only for the subjects that have it", () => {
  const shapesOf = (limit: number, own: number) => {
    const limits = (["fixed-window", "sliding-window", "token-bucket"] as const).map((algorithm) => ({
      algorithm,
      limit,
      window: "30 d",
    }));
    const overrides = [{ subject: "a", limits: [own, own, own] }];
    const policy = checkPolicy("p", { ...POLICY, limits, overrides });
    return [policy.limits, ...policy.overrides.values()].map(({ shape }) => shape);
  };
  const inMilliseconds = "f2592000000+s2592000000+t2592000000";
  expect(shapesOf(100, 1_737_499)).toEqual([inMilliseconds, inMilliseconds]);
  expect(shapesOf(100, 5_000_000)).toEqual([inMilliseconds, `${inMilliseconds}u10`]);
  expect(shapesOf(5_000_000, 100)).toEqual([`${inMilliseconds}u10`, inMilliseconds]);
});

test("all errors are reported at once", () => {
  expect(
    problemsOf([{ name: "", by: "x", limits: [{ algorithm: "fixed-window", limit: 1.5, windowMs: "1 q" }] }]),
  ).toHaveLength(4);
  const limit = { algorithm: "fixed-window", limit: 1, burst: 2 };
  expect(problemsOf([{ ...POLICY, limits: [limit], first: 1, second: 2 }])).toEqual([
    "Expected `policies[0].limits[0].window` to be set, unless windowMs is set instead; got undefined.",
    "Expected `policies[0].limits[0].burst` to be unset, unless the algorithm is token-bucket; got 2.",
    'Expected `policies[0]` to be a policy with only name, by, limits, ipv4Subnet, ipv6Subnet, onRedisFailure, maxCost and overrides; got the unknown field "first".',
    'Expected `policies[0]` to be a policy with only name, by, limits, ipv4Subnet, ipv6Subnet, onRedisFailure, maxCost and overrides; got the unknown field "second".',
  ]);
});

test.each([
  ["2028-02-29T12:00:00Z", true],
  ["2028-02-29T12:00:00.5+01:30", true],
  ["2027-02-29T12:00:00Z", false],
  ["2027-02-30T12:00:00Z", false],
  ["2027-13-01T12:00:00Z", false],
  ["2027-01-01 12:00:00Z", false],
  ["2027-01-01T25:00:00Z", false],
  ["2027-01-01T12:00:00", false],
  ["2027-01-01T12:00:00+01", false],
  ["2027-01-01", false],
])("a block until %s: %s", (blockedUntil, isTime) => {
  expect(problemsOf([{ ...POLICY, overrides: [{ subject: "a", blockedUntil }] }])).toHaveLength(
    isTime ? 0 : 1,
  );
});

test.each([
  ["a policy", '[{"name":"p","by":"uid","limits":[],"__proto__":{"limits":[1]}}]'],
  ["a prototype with all fields", '[{"__proto__":{"name":"p","by":"uid","limits":[1]}}]'],
  ["a limit", '[{"name":"p","by":"uid","limits":[{"__proto__":{"limit":1,"algorithm":"fixed-window"}}]}]'],
  [
    "a constructor",
    '[{"name":"p","by":"uid","limits":[],"constructor":{"prototype":{"onRedisFailure":"open"}}}]',
  ],
])("nothing is inherited from the JSON of policies: %s", (_, json) => {
  expect(() => parsePolicies(json)).toThrow(InvalidPolicies);
  expect(({} as Record<string, unknown>)["limits"]).toBeUndefined();
  expect(({} as Record<string, unknown>)["onRedisFailure"]).toBeUndefined();
});

test("a prototype beside a policy's fields adds nothing to it", () => {
  const json = JSON.stringify([POLICY]);
  const read = (text: string) => {
    try {
      return parsePolicies(text);
    } catch (error) {
      return (error as InvalidPolicies).problems.join();
    }
  };
  const polluted = json.replace(
    "[{",
    '[{"__proto__":{"onRedisFailure":"open","overrides":[{"subject":"a"}]},',
  );
  expect([read(json), expect.stringContaining("__proto__")]).toContainEqual(read(polluted));
});

test.each(["__proto__", "constructor", "toString"])("a policy may be named %s and harms no other", (name) => {
  const policies = new Map(parsePolicies(JSON.stringify([{ ...POLICY, name }])).map((p) => [p.name, p]));
  expect(policies.get(name)).toMatchObject({ name, by: "uid" });
  expect(({} as Record<string, unknown>)["by"]).toBeUndefined();
});

test.each([
  ["an over-long subject", [{ subject: "sk_live_".repeat(40) }]],
  ["a subject with a control character", [{ subject: "sk_live_1\n" }]],
  ["a subject that is an object", [{ subject: { key: "sk_live_1" } }]],
  ["a subject instead of an override", ["sk_live_1"]],
  ["a subject instead of overrides", "sk_live_1"],
  ["subjects by name", { sk_live_1: [5] }],
  ["a subject twice", [{ subject: "sk_live_1" }, { subject: "sk_live_1" }]],
])("an error does not show %s, which may be an API key", (_, overrides) => {
  const problems = problemsOf([{ ...POLICY, overrides }]);
  expect(problems).not.toEqual([]);
  expect(problems.join()).not.toContain("sk_live_");
});
