import { readFileSync } from "node:fs";
import path from "node:path";

import fc from "fast-check";
import { parse } from "yaml";

import { ConfigError, FIREBASE_CLAIMS, parseConfig } from "../../functions/src/config/config";
import {
  PARAM_SPECS,
  type ParamName,
  type ParamSpec,
  type ParamValues,
} from "../../functions/src/config/param-specs";

interface Param {
  readonly param: ParamName;
  readonly type: string;
  readonly required: boolean;
  readonly validationRegex?: string;
}

/** What the Firebase CLI checks of an answer. */
const { checkResponse } = jest.requireActual<{
  checkResponse(response: string, param: Param): boolean;
}>("firebase-tools/lib/extensions/askUserForParam");

const ROOT = path.resolve(__dirname, "../..");
const { params } = parse(readFileSync(path.join(ROOT, "extension.yaml"), "utf8")) as { params: Param[] };
const CHECKED = params.filter(({ validationRegex }) => validationRegex !== undefined);

/** With these, only the value of the param itself is checked: each param has a value that no generated one conflicts with. */
const OTHERS: ParamValues = {
  LOCATION: "europe-west1",
  REDIS_HOST: "10.0.0.3",
  REDIS_TLS: "true",
  // The connector's region is then not compared with LOCATION.
  VPC_NETWORK: "default",
  QUOTA_COLLECTION_PATH: "otherProviders",
  QUOTA_USED_FIELD: "otherUsed",
  QUOTA_LIMIT_FIELD: "otherLimit",
  SESSION_COLLECTION_PATH: "otherSessions",
};

const CONNECTOR = "projects/p/locations/europe-west1/connectors/c";

function problemsOf(param: ParamName, value: string): readonly string[] {
  try {
    parseConfig({ ...OTHERS, [param]: value });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ problem }) => problem);
    throw error;
  }
}

/** What is put into good values, in place of a character or between two. */
const CHARACTERS = [
  ..." \t\n\r\u00A0\u2028\u3000\uFEFF/{}.:%@-_\\$^|+*()[]09aZßé٣९😀\u0000\uD800",
  "..",
  "//",
  "::",
];

const EDGES = [
  ..."0 00 -1 +1 1.0 1e3 0x10 1_000 ٣٣٣ १२० NaN Infinity 007 06379 0300".split(" "),
  ...["9", "0", "a"].flatMap((one) => [15, 16, 1000].map((times) => one.repeat(times))),
  ...":: ::1 ::: fd00::1:2 [::1] fe80::1%eth0 ::ffff:10.0.0.3 1:2:3:4:5:6:7:8 10.0.0.3:6379".split(" "),
  ..."redis://10.0.0.3 a..b .a a. -a a- xn--bcher-kva bücher 256.256.256.256".split(" "),
  ..."projects/p/secrets/s projects/p/secrets/s/versions/1 projects/p/secrets/s/ projects//s".split(" "),
  ...`${CONNECTOR} a/b a/b/c a//c /a a/ {a} __proto__`.split(" "),
  ...[" ", "\t", "\n", "projects/p p/secrets/s", "every ", "every  ", "every 5 minutes"],
  ...["* * * * *", "* * * *", " * * * * *", "* * * * * "],
];
const NUMBERS = [
  9, 10, 59, 60, 99, 100, 119, 120, 999, 1999, 2000, 2001, 65_535, 65_536, 99_999, 2_591_999, 2_592_000,
  2_592_001,
];

/** Good values, the same with one mistake, and others that people try. */
function someValues(regex: string): fc.Arbitrary<string> {
  const good = fc.stringMatching(new RegExp(regex));
  const near = fc
    .tuple(good, fc.nat(), fc.nat({ max: 2 }), fc.constantFrom("", ...CHARACTERS))
    .map(([value, place, replaced, character]) => {
      const at = place % (value.length + 1);
      return value.slice(0, at) + character + value.slice(at + replaced);
    });
  const number = fc.oneof(
    fc.constantFrom(...NUMBERS),
    fc.integer({ min: -10, max: 100_000 }),
    fc.maxSafeInteger(),
  );
  return fc.oneof(
    { weight: 2, arbitrary: good },
    { weight: 4, arbitrary: near },
    { weight: 2, arbitrary: fc.constantFrom(...EDGES) },
    { weight: 2, arbitrary: number.map(String) },
    { weight: 1, arbitrary: fc.string({ unit: "grapheme" }) },
  );
}

test.each(CHECKED)("the form and the functions accept the same values of $param", (param) => {
  fc.assert(
    fc.property(someValues(param.validationRegex!), (value) => {
      fc.pre(value !== "" && !(param.param === "ADMIN_CLAIM" && FIREBASE_CLAIMS.includes(value)));
      const problems = problemsOf(param.param, value);
      const expected = checkResponse(value, param) ? "accepted" : "refused";
      expect({ value, problems, is: problems.length === 0 ? "accepted" : "refused" }).toEqual({
        value,
        problems,
        is: expected,
      });
    }),
    { numRuns: 400 },
  );
});

test.each(CHECKED)("an empty $param that the form accepts, the functions accept too", (param) => {
  expect(checkResponse("", param)).toBe(!param.required);
  // In a kit's environment, each may be empty that has a default, or that a kit does not require.
  const { required, default: byDefault }: ParamSpec = PARAM_SPECS[param.param];
  expect(problemsOf(param.param, "")).toHaveLength(required && byDefault === undefined ? 1 : 0);
});

// A regular expression without lookahead, which RE2 does not have, cannot exclude names.
test.each(FIREBASE_CLAIMS)("only the functions refuse the claim %s", (claim) => {
  const param = CHECKED.find((each) => each.param === "ADMIN_CLAIM")!;
  expect(checkResponse(claim, param)).toBe(true);
  expect(problemsOf("ADMIN_CLAIM", claim)).toHaveLength(1);
});
