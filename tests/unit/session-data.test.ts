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
  ["undefined", { a: { b: undefined } }, "data.a.b: got undefined; expected a value of JSON"],
  ["a function", { a: () => 1 }, "data.a: got function; expected a value of JSON"],
  ["NaN", { a: [1, Number.NaN] }, "data.a[1]: got NaN; expected a value of JSON"],
  ["infinity", { a: -Infinity }, "data.a: got -Infinity; expected a value of JSON"],
  ["a date", { a: new Date(0) }, "data.a: got an instance of Date; expected a value of JSON"],
  ["a big integer", { a: 1n }, "data.a: got bigint; expected a value of JSON"],
  ["a list within a list", { a: [[1]] }, "data.a[0]: got a list within a list, which Firestore cannot hold"],
  ["a gap in a list", { a: [1, , 2] }, "data.a[1]: got undefined; expected a value of JSON"],
  ["half of a character", { a: "\ud800" }, "data.a: got a string with half of a character; expected"],
  ["a reserved name", { a: { __b__: 1 } }, 'data.a.__b__: got the name "__b__"; expected'],
  ["an empty name", { "": 1 }, 'data.: got the name ""; expected'],
  ["no object", "text", "data: got a string"],
  ["a list", [1], "data: got a list; expected a plain object"],
])("%s is refused, and the path named", (_, data, message) => {
  expect(() => parseSessionData(data)).toThrow(InvalidSessionDataError);
  expect(() => parseSessionData(data)).toThrow(message);
});

test("what contains itself is refused", () => {
  expect(() => parseSessionData(circular)).toThrow("is nested more than 20 levels deep, or contains itself");
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
  expect(() => parseSessionId("secret/id")).toThrow("sessionId: got a string of 9 characters");
});

test("a TTL is a whole number of seconds up to 30 days", () => {
  expect(parseSessionTtl(2_592_000)).toBe(2_592_000);
  for (const bad of [0, -1, 1.5, 2_592_001, "60", Number.NaN])
    expect(() => parseSessionTtl(bad)).toThrow("ttlSeconds: got");
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
