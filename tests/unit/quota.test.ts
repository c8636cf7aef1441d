import { callName } from "../../functions/src/quota/call-records";
import {
  assessQuota,
  decideConsumption,
  InvalidQuotaDocumentError,
  parseCost,
  parseIdempotencyKey,
  parseMarker,
  parseProviderId,
  parseQuota,
} from "../../functions/src/quota/quota";

const FIELDS = { usedField: "aiCallsUsed", limitField: "aiCallsLimit", defaultLimit: 100 };

describe("a document's quota", () => {
  test("is read from its fields", () => {
    expect(parseQuota({ aiCallsUsed: 3, aiCallsLimit: 50, name: "Me Dupont" }, FIELDS)).toEqual({
      used: 3,
      limit: 50,
    });
  });

  test("has a limit of 0 where the field is 0, and the default only where it is absent or null", () => {
    expect(parseQuota({ aiCallsLimit: 0 }, FIELDS)).toEqual({ used: 0, limit: 0 });
    expect(parseQuota({}, FIELDS)).toEqual({ used: 0, limit: 100 });
    expect(parseQuota({ aiCallsUsed: null, aiCallsLimit: null }, FIELDS)).toEqual({ used: 0, limit: 100 });
  });

  test("may have 15 digits", () => {
    const largest = 999_999_999_999_999;
    expect(parseQuota({ aiCallsUsed: largest, aiCallsLimit: largest }, FIELDS)).toEqual({
      used: largest,
      limit: largest,
    });
  });

  test("may be inside maps", () => {
    const fields = { ...FIELDS, usedField: "quota.used", limitField: "quota.limit" };
    expect(parseQuota({ quota: { used: 1, limit: 2 } }, fields)).toEqual({ used: 1, limit: 2 });
    expect(parseQuota({}, fields)).toEqual({ used: 0, limit: 100 });
    expect(() => parseQuota({ quota: "none" }, fields)).toThrow(
      /^Expected `quota\.used` to be .*; got "none"\.$/,
    );
  });

  test.each([
    ["12", '"12"'],
    [-1, "-1"],
    [Number.NaN, "NaN"],
    [1.5, "1.5"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [1_000_000_000_000_000, "1000000000000000"],
    [2 ** 53, "9007199254740992"],
  ])("of %p is an error that names the field and shows the value", (value, shown) => {
    const parse = () => parseQuota({ aiCallsUsed: value }, FIELDS);
    expect(parse).toThrow(InvalidQuotaDocumentError);
    expect(parse).toThrow(
      `Expected \`aiCallsUsed\` to be a whole number, 0 or more, of at most 15 digits; got ${shown}.`,
    );
  });
});

describe("a provider id", () => {
  test.each(["p1", "é".repeat(750), "a{b}", "line\nbreak", "constructor"])("may be %j", (id) => {
    expect(parseProviderId(id)).toBe(id);
  });

  test.each([
    [""],
    ["a/b"],
    ["."],
    [".."],
    ["__name__"],
    ["é".repeat(751)],
    ["\ud800"],
    [42],
    [undefined],
    [{}],
  ])("must not be %j", (value) => {
    expect(() => parseProviderId(value)).toThrow(/^Expected `providerId` to be a document id.*; got .*/);
  });
});

describe("a check", () => {
  const options = { missingProvider: "default-limit", defaultLimit: 100 } as const;

  test.each([
    [
      { used: 0, limit: 1 },
      { hasQuota: true, used: 0, limit: 1, remaining: 1, found: true },
    ],
    [
      { used: 1, limit: 1 },
      { hasQuota: false, used: 1, limit: 1, remaining: 0, found: true },
    ],
    [
      { used: 5, limit: 3 },
      { hasQuota: false, used: 5, limit: 3, remaining: 0, found: true },
    ],
    [
      { used: 0, limit: 0 },
      { hasQuota: false, used: 0, limit: 0, remaining: 0, found: true },
    ],
    [undefined, { hasQuota: true, used: 0, limit: 100, remaining: 100, found: false }],
  ])("of %j answers %j", (quota, status) => {
    expect(assessQuota(quota, options)).toEqual(status);
  });

  test("of a provider without a document is refused where MISSING_PROVIDER is deny", () => {
    expect(assessQuota(undefined, { ...options, missingProvider: "deny" })).toEqual({
      hasQuota: false,
      used: 0,
      limit: 0,
      remaining: 0,
      found: false,
    });
  });
});

describe("a call", () => {
  test.each([
    ["within the limit", 3, 2, { allowed: true, used: 5 }],
    ["that just fits", 3, 7, { allowed: true, used: 10 }],
    ["above the limit", 3, 8, { allowed: false, used: 3 }],
    ["where more is used than allowed", 12, 1, { allowed: false, used: 12 }],
    ["that refunds", 3, -2, { allowed: true, used: 1 }],
    ["that refunds more than was used", 3, -5, { allowed: true, used: 0 }],
    ["that refunds above the limit", 12, -1, { allowed: true, used: 11 }],
  ])("%s is decided", (_, used, cost, decision) => {
    expect(decideConsumption({ used, limit: 10 }, cost)).toEqual(decision);
  });

  test.each([1, 1_000_000_000])("may cost %p", (cost) => {
    expect(parseCost(cost)).toBe(cost);
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1_000_000_001, "1", undefined])(
    "must not cost %p",
    (cost) => {
      expect(() => parseCost(cost)).toThrow(
        /^Expected `cost` to be a whole number from 1 to 1000000000.*; got .*/,
      );
    },
  );

  test.each(["k", "order 17/é", "x".repeat(256)])("may have the idempotency key %j", (key) => {
    expect(parseIdempotencyKey(key)).toBe(key);
  });

  test.each(["", "x".repeat(257), "line\nbreak", "\ud800", 1, null])(
    "must not have the idempotency key %j",
    (key) => {
      expect(() => parseIdempotencyKey(key)).toThrow(
        /^Expected `idempotencyKey` to be 1 to 256 characters.*; got .*/,
      );
    },
  );

  test("is remembered apart from its refund, and only with a key", () => {
    const call = { providerId: "p1", cost: 2, idempotencyKey: "k" };
    expect(callName(call)).not.toBe(callName({ ...call, cost: -2 }));
    expect(callName({ ...call, idempotencyKey: undefined })).toBeUndefined();
  });
});

test.each([
  [{ _quotaSync: { flushId: 1_795_441_549_330_123 } }, 1_795_441_549_330_123],
  [{ _quotaSync: {} }, 0],
  [{ _quotaSync: { flushId: "1" } }, 0],
  [{ _quotaSync: { flushId: -1 } }, 0],
  [{ _quotaSync: { flushId: 1.5 } }, 0],
  [{ _quotaSync: null }, 0],
  [{}, 0],
  [undefined, 0],
])("the newest flush that %j contains is %p", (data, marker) => {
  expect(parseMarker(data)).toBe(marker);
});

test.each(["constructor", "__proto__", "toString"])(
  "a field named %s is read from the document alone",
  (field) => {
    expect(parseQuota({}, { ...FIELDS, usedField: field })).toEqual({ used: 0, limit: 100 });
    expect(parseQuota({}, { ...FIELDS, limitField: `${field}.length` })).toEqual({ used: 0, limit: 100 });
  },
);
