import { formatRedacted, formatValue, validationMessage } from "../../functions/src/validation";

class Point {
  constructor(readonly x: number) {}
}

const throwing = {
  toString: () => {
    throw new Error("toString");
  },
  toJSON: () => {
    throw new Error("toJSON");
  },
  get field() {
    throw new Error("getter");
  },
};
const cycle: Record<string, unknown> = { a: 1 };
cycle["self"] = cycle;
const hostile = new Proxy(
  {},
  {
    get: () => {
      throw new Error("get");
    },
    ownKeys: () => {
      throw new Error("ownKeys");
    },
    getPrototypeOf: () => {
      throw new Error("getPrototypeOf");
    },
  },
);
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

test.each<[string, unknown]>([
  ["undefined", undefined],
  ["null", null],
  ['"ten"', "ten"],
  ['"a\\nb\\ud800"', "a\nb\ud800"],
  ["0", 0],
  ["NaN", Number.NaN],
  ["10n", 10n],
  ["true", true],
  ["Symbol(s)", Symbol("s")],
  ["a function", () => 1],
  ['[1,"a",[null]]', [1, "a", [null]]],
  ['{"name":"x","list":[]}', { name: "x", list: [] }],
  ['{"a":1}', Object.assign(Object.create(null) as object, { a: 1 })],
  ["[[[[...]]]]", [[[["deep"]]]]],
  ['{"a":{"b":{"c":{...}}}}', { a: { b: { c: { d: 1 } } } }],
  ['{"a":1,"self":{"a":1,"self":{"a":1,"self":{...}}}}', cycle],
  ["an instance of Date", new Date(0)],
  ["an instance of Point", new Point(1)],
  ["an instance of Point", Object.create(new Point(1))],
  ['{"toString":a function,"toJSON":a function,"field":[getter]}', throwing],
  ["a Proxy", hostile],
  ["[a Proxy]", [hostile]],
  ["a Proxy", revoked],
  ["an unreadable value", Object.create(hostile)],
])("shows %s", (shown, value) => {
  expect(formatValue(value)).toBe(shown);
});

test.each<[unknown]>([
  ["x".repeat(1e6)],
  [Array.from({ length: 1e5 }, () => "x".repeat(100))],
  [Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`field${i}`, i]))],
  [Symbol("x".repeat(1000))],
  [10n ** 1000n],
  [Object.assign(new Point(1), { constructor: { name: "x".repeat(1000) } })],
  ["\u{1F600}".repeat(100)],
])("%# is shortened", (value) => {
  const shown = formatValue(value);
  expect(shown.length).toBeLessThanOrEqual(100);
  expect(shown.isWellFormed()).toBe(true);
});

test.each<[string, unknown]>([
  ["a string of 7 characters", "hunter2"],
  ['""', ""],
  ["an object", { token: "hunter2" }],
  ["an array", ["hunter2"]],
  ["an instance of Point", new Point(1)],
  ["an object", hostile],
  ["undefined", undefined],
  ["42", 42],
])("shows what may be a secret as %s", (shown, value) => {
  expect(formatRedacted(value)).toBe(shown);
});

test("a message has the field, the valid values and the value", () => {
  expect(validationMessage("cost", "a whole number, 1 or more", formatValue(0))).toBe(
    "Expected `cost` to be a whole number, 1 or more; got 0.",
  );
});
