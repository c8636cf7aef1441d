import { parseScript } from "../../functions/scripts/lua-script.mjs";

const SCRIPT = `-- Adds an amount to a counter.
--
-- KEYS[1] counter: string
-- ARGV[1] amount: integer
--
-- Returns: the counter
-- Writes: counter
-- TTL: none
local counter = KEYS[1]
local amount = ARGV[1]

return redis.call("INCRBY", counter, amount) -- atomic
`;

test("a script is inlined without its comments, with the names of its KEYS and ARGV and the SHA-1 of its text", () => {
  const script = parseScript("sample/add-amount", SCRIPT);
  expect(script.source).toBe(
    'local counter = KEYS[1]\nlocal amount = ARGV[1]\nreturn redis.call("INCRBY", counter, amount)',
  );
  expect(script).toMatchObject({ keys: ["counter"], restKeys: null, args: ["amount"], restArgs: null });
  expect(script.sha1).toMatch(/^[0-9a-f]{40}$/);
});

test.each([
  [
    "an ARGV that the body never uses",
    SCRIPT.replace("local amount = ARGV[1]", "local amount = 1"),
    "does not name ARGV[1] amount",
  ],
  [
    "an ARGV under another name",
    SCRIPT.replace("local amount", "local value"),
    "does not name ARGV[1] amount",
  ],
  [
    "an ARGV that the header lacks",
    SCRIPT.replace("-- ARGV[1] amount: integer\n", ""),
    "does not declare ARGV[1]",
  ],
  ["a key that the header lacks", `${SCRIPT}redis.call("DEL", KEYS[2])`, "does not declare KEYS[2]"],
  [
    "keys in a loop that the header lacks",
    `${SCRIPT}for _, key in ipairs(KEYS) do end`,
    "KEYS[*] is in the body only",
  ],
  [
    "a rest that the body never uses",
    SCRIPT.replace("-- ARGV[1]", "-- KEYS[*] others: string\n-- ARGV[1]"),
    "KEYS[*] is in the header only",
  ],
  ["no Returns", SCRIPT.replace("-- Returns: the counter\n", ""), 'lacks "Returns:"'],
  ["no purpose", SCRIPT.replace("-- Adds an amount to a counter.\n", ""), "sentence of purpose"],
  ["too many lines", SCRIPT + "\n".repeat(100), "more than 100"],
])("a script with %s is refused", (_, source, problem) => {
  expect(() => parseScript("sample/add-amount", source)).toThrow(problem);
});

test("an include named at the end of the header stands before the body", () => {
  const including = SCRIPT.replace("-- TTL: none\n", "-- TTL: none\n-- Include: shared\n");
  const script = parseScript(
    "sample/add-amount",
    including,
    (name) => `-- Shared.\nlocal from = "${name}"\n`,
  );
  expect(script.source).toBe(
    'local from = "shared"\nlocal counter = KEYS[1]\nlocal amount = ARGV[1]\nreturn redis.call("INCRBY", counter, amount)',
  );
  expect(() => parseScript("sample/add-amount", including)).toThrow(
    "nothing to include under the name shared",
  );
});
