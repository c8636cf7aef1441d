import {
  assessQuota,
  InvalidQuotaDocumentError,
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

  test("may be inside maps", () => {
    const fields = { ...FIELDS, usedField: "quota.used", limitField: "quota.limit" };
    expect(parseQuota({ quota: { used: 1, limit: 2 } }, fields)).toEqual({ used: 1, limit: 2 });
    expect(parseQuota({}, fields)).toEqual({ used: 0, limit: 100 });
    expect(() => parseQuota({ quota: "none" }, fields)).toThrow('quota.used: got "none"');
  });

  test.each([
    ["12", '"12"'],
    [-1, "-1"],
    [Number.NaN, "NaN"],
    [1.5, "1.5"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [2 ** 53, "9007199254740992"],
  ])("of %p is an error that names the field and shows the value", (value, shown) => {
    const parse = () => parseQuota({ aiCallsUsed: value }, FIELDS);
    expect(parse).toThrow(InvalidQuotaDocumentError);
    expect(parse).toThrow(
      `aiCallsUsed: got ${shown}; expected a whole number, 0 or more, of at most 15 digits`,
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
    expect(() => parseProviderId(value)).toThrow(/^providerId: got .*; expected a document id/);
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
