import { InvalidPolicies, parsePolicies } from "../../functions/src/rate-limit/policy";

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

test("a valid policy is taken as it is; without onRedisFailure the process itself limits", () => {
  expect(parsePolicies(JSON.stringify([POLICY]))).toEqual([{ ...POLICY, onRedisFailure: "local" }]);
});

test.each<[string, unknown, string]>([
  ["text that is no JSON", "[{", 'got "[{"; expected a JSON array of policies'],
  ["no array", { name: "x" }, 'got {"name":"x"}; expected a JSON array of policies'],
  ["no name", [{ ...POLICY, name: undefined }], "[0].name: not set; expected a name of 1 to 64"],
  ["a bad name", [{ ...POLICY, name: "a b" }], '[0].name: got "a b"; expected a name of 1 to 64'],
  [
    "an unknown subject",
    [{ ...POLICY, by: "cookie" }],
    '[0].by: got "cookie"; expected uid, ip, app, subject or global',
  ],
  ["no limits", [{ ...POLICY, limits: [] }], "[0].limits: got []; expected an array of 1 to 8 limits"],
  [
    "a limit that is a string",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], limit: "ten" }] }],
    '[0].limits[0].limit: got "ten"; expected a whole number, 0 or more',
  ],
  [
    "a negative limit",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], limit: -1 }] }],
    "[0].limits[0].limit: got -1; expected a whole number, 0 or more",
  ],
  [
    "a window of 0",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], windowMs: 0 }] }],
    "[0].limits[0].windowMs: got 0; expected a whole number of milliseconds, 1 or more",
  ],
  [
    "an unknown algorithm",
    [{ ...POLICY, limits: [{ ...POLICY.limits[0], algorithm: "magic" }] }],
    '[0].limits[0].algorithm: got "magic"; expected fixed-window',
  ],
  [
    "an unknown field",
    [{ ...POLICY, limit: 3 }],
    '[0]: got the unknown field "limit"; expected a policy with only',
  ],
  ["a name twice", [POLICY, POLICY], "expected each policy name once"],
  [
    "a window twice",
    [{ ...POLICY, limits: [POLICY.limits[0], POLICY.limits[0]] }],
    "expected a windowMs at most once",
  ],
  ["an unknown onRedisFailure", [{ ...POLICY, onRedisFailure: "retry" }], '[0].onRedisFailure: got "retry"'],
])("%s is refused, naming where", (_, policies, problem) => {
  expect(problemsOf(policies).join("\n")).toContain(problem);
});

test("all errors are reported at once", () => {
  expect(
    problemsOf([{ name: "", by: "x", limits: [{ algorithm: "fixed-window", limit: 1.5, windowMs: "1 m" }] }]),
  ).toHaveLength(4);
});
