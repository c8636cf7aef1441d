import fc from "fast-check";

import { InvalidSessionIdError, parseSessionId, parseSessionTtl } from "../../functions/src/session/session";
import {
  InvalidSessionDataError,
  MAX_SESSION_BYTES,
  parseSessionData,
  SessionTooLargeError,
} from "../../functions/src/session/session-data";

const circular: Record<string, unknown> = {};
circular["self"] = circular;

test.each([
  ["undefined", { a: { b: undefined } }, /^Expected `data\.a\.b` to be a JSON value; got undefined/],
  ["a function", { a: () => 1 }, /^Expected `data\.a` to be a JSON value; got a function/],
  ["NaN", { a: [1, Number.NaN] }, /^Expected `data\.a\[1\]` to be a JSON value; got NaN/],
  ["infinity", { a: -Infinity }, /^Expected `data\.a` to be a JSON value; got -Infinity/],
  ["a date", { a: new Date(0) }, /^Expected `data\.a` to be a JSON value; got an instance of Date/],
  ["a big integer", { a: 1n }, /^Expected `data\.a` to be a JSON value; got 1n/],
  [
    "a list within a list",
    { a: [[1]] },
    /^Expected `data\.a\[0\]` to be no array, as Firestore holds none within an array; got an array\.$/,
  ],
  ["a gap in a list", { a: [1, , 2] }, /^Expected `data\.a\[1\]` to be a JSON value; got undefined/],
  [
    "half of a character",
    { a: "\ud800" },
    /^Expected `data\.a` to be well-formed Unicode; got a string of 1 characters/,
  ],
  ["a reserved name", { a: { __b__: 1 } }, /^Expected `data\.a\.__b__` to be .*; got the name "__b__"/],
  ["an empty name", { "": 1 }, /^Expected `data\.` to be .*; got the name ""/],
  ["no object", "text", /^Expected `data` to be a plain object; got a string of 4 characters\.$/],
  ["a list", [1], /^Expected `data` to be a plain object.*; got an array/],
])("%s is refused, and the path named", (_, data, message) => {
  expect(() => parseSessionData(data)).toThrow(InvalidSessionDataError);
  expect(() => parseSessionData(data)).toThrow(message);
});

test("what contains itself is refused", () => {
  expect(() => parseSessionData(circular)).toThrow(
    "to be at most 20 levels deep, without cycles; got a deeper value.",
  );
});

test("what JSON and Firestore can hold is copied as it is", () => {
  const plain = fc.letrec<{ value: unknown; map: object }>((tie) => ({
    scalar: fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.constant(1.5),
    ),
    value: fc.oneof(
      { depthSize: "small" },
      tie("scalar"),
      tie("map"),
      fc.array(fc.oneof(tie("scalar"), tie("map"))),
    ),
    map: fc.dictionary(
      fc.string({ minLength: 1 }).filter((name) => !name.startsWith("__")),
      tie("value"),
      { noNullPrototype: true, maxKeys: 4 },
    ),
  }));
  fc.assert(
    fc.property(plain.map, (data) => {
      const copy = parseSessionData(data);
      expect(copy).toEqual(data);
      expect(copy).not.toBe(data);
    }),
    { numRuns: 300 },
  );
});

test("the limit of the size counts bytes of JSON", () => {
  const fits = { a: "é".repeat((MAX_SESSION_BYTES - 8) / 2) };
  expect(parseSessionData(fits)).toEqual(fits);
  const error = (() => {
    try {
      parseSessionData({ ...fits, b: 1 });
    } catch (thrown) {
      return thrown;
    }
    return undefined;
  })();
  expect(error).toBeInstanceOf(SessionTooLargeError);
  expect(error).toMatchObject({ bytes: MAX_SESSION_BYTES + 6, limit: MAX_SESSION_BYTES });
});

test("an id is a document id of at most 256 characters, and errors do not show it", () => {
  expect(parseSessionId("s".repeat(256))).toHaveLength(256);
  for (const bad of ["", "s".repeat(257), "a/b", ".", "..", "__x__", 1, undefined])
    expect(() => parseSessionId(bad)).toThrow(InvalidSessionIdError);
  expect(() => parseSessionId("secret/id")).toThrow(
    '`sessionId` to be 1 to 256 characters, no "/", not ".", ".." or __x__; got a string of 9 characters.',
  );
});

test("a TTL is a whole number of seconds up to 30 days", () => {
  expect(parseSessionTtl(2_592_000)).toBe(2_592_000);
  for (const bad of [0, -1, 1.5, 2_592_001, "60", Number.NaN])
    expect(() => parseSessionTtl(bad)).toThrow("Expected `ttlSeconds` to be");
});

test("a prototype in JSON is refused at any depth, and a constructor is a name like another", () => {
  for (const json of ['{"__proto__":{"admin":true}}', '{"a":[{"b":{"__proto__":{"admin":true}}}]}'])
    expect(() => parseSessionData(JSON.parse(json))).toThrow('got the name "__proto__"');
  const data = JSON.parse('{"constructor":{"prototype":{"admin":true}},"toJSON":"x","valueOf":1}') as object;
  expect(parseSessionData(data)).toEqual(data);
  expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
});

test("an object whose prototype was replaced is no plain object", () => {
  const heir = Object.assign(Object.create({ admin: true }) as object, { a: 1 });
  expect(() => parseSessionData(heir)).toThrow(InvalidSessionDataError);
});
