import { InlineLimits, type InlineLimit } from "../../functions/src/rate-limit/inline-limit";
import { checkPolicies, InvalidPolicies } from "../../functions/src/rate-limit/policy";
import { InvalidArgumentError } from "../../functions/src/validation";

const MINUTE: InlineLimit = { limit: 10, window: "1 m" };

test("a limit has the defaults of a policy, and counts in sliding windows by default", () => {
  expect(new InlineLimits().policyOf(MINUTE)).toMatchObject({
    name: "(inline)",
    limits: {
      policy: "(inline)",
      counts: "(sliding-window/10/10/60000)",
      onRedisFailure: "local",
      shape: "s60000",
      limits: [{ algorithm: "sliding-window", limit: 10, windowMs: 60_000, capacity: 10 }],
    },
    overrides: new Map(),
  });
});

test("spellings of one limit have the same counts, and other limits have others", () => {
  const limits = new InlineLimits();
  const countsOf = (limit: InlineLimit) => limits.policyOf(limit).limits.counts;
  const counts = countsOf(MINUTE);
  const same: InlineLimit[] = [
    { window: "60 s", limit: 10 },
    { limit: 10, windowMs: 60_000 },
    { limit: 10, windowMs: "1m", algorithm: "sliding-window" },
    { ...MINUTE, onRedisFailure: "closed" },
  ];
  expect(same.map(countsOf)).toEqual(same.map(() => counts));
  const others: InlineLimit[] = [
    { ...MINUTE, limit: 11 },
    { ...MINUTE, window: "2 m" },
    { ...MINUTE, algorithm: "fixed-window" },
    { ...MINUTE, algorithm: "token-bucket" },
    { ...MINUTE, algorithm: "token-bucket", burst: 5 },
  ];
  expect(new Set([counts, ...others.map(countsOf)]).size).toBe(1 + others.length);
});

test("a limit is compiled once, and only the limits used last are kept", () => {
  const limits = new InlineLimits();
  const first = limits.policyOf(MINUTE);
  expect(limits.policyOf({ ...MINUTE })).toBe(first);
  expect(limits.policyOf({ ...MINUTE, onRedisFailure: "open" })).not.toBe(first);
  for (let limit = 11; limit < 2000; limit++) limits.policyOf({ ...MINUTE, limit });
  const again = limits.policyOf(MINUTE);
  expect(again).not.toBe(first);
  expect(again).toEqual(first);
});

describe("an invalid limit has the messages of a policy", () => {
  const policyWith = (limit: object) => [
    { name: "p", by: "subject", limits: [{ algorithm: "sliding-window", ...limit }] },
  ];
  test.each<object>([
    { limit: -1 },
    { limit: "10" },
    { limit: Number.NaN },
    { limit: undefined },
    { limit: 2 ** 50 },
    { window: "1 x" },
    { window: 0 },
    { window: "367 d" },
    { window: null },
    { window: undefined },
    { windowMs: 60_000 },
    { algorithm: "leaky-bucket" },
    { burst: 5 },
    { burst: null, algorithm: "token-bucket" },
  ])("%j", (fields) => {
    const limits = new InlineLimits();
    // Valid limits are known, so that only the difference counts.
    limits.policyOf(MINUTE);
    limits.policyOf({ ...MINUTE, algorithm: "token-bucket" });
    const limit = { ...MINUTE, ...fields };
    let problems: readonly string[] = [];
    try {
      checkPolicies(policyWith(limit));
    } catch (error) {
      problems = (error as InvalidPolicies).problems;
    }
    const message = problems[0]!.replace("policies[0].limits[0]", "policy");
    expect(message).toMatch(/^Expected `policy\.\w+` to be /);
    const call = () => limits.policyOf(limit);
    expect(call).toThrow(InvalidArgumentError);
    expect(call).toThrow(message);
  });

  test.each([
    [
      { ...MINUTE, onRedisFailure: "fail" },
      'Expected `policy.onRedisFailure` to be local, open or closed; got "fail".',
    ],
    [
      { ...MINUTE, max: undefined },
      "Expected `policy` to be an object with only algorithm, limit, window, windowMs, burst, onRedisFailure; " +
        'got the unknown field "max".',
    ],
  ])("%j", (limit, message) => {
    const limits = new InlineLimits();
    limits.policyOf(MINUTE);
    expect(() => limits.policyOf(limit as never)).toThrow(message);
  });
});
