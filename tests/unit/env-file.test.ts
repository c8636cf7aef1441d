import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import fc from "fast-check";

import {
  assignInEnvFile,
  findSimilarName,
  isDeployableName,
  parseEnvFile,
} from "../../functions/src/cli/env-file";
import { readParamsFile, setParams, warnOfOtherFiles } from "../../functions/src/cli/params-file";
import { PARAM_SPECS } from "../../functions/src/config/param-specs";
import { runCommand } from "../harness/run-cli.ts";

type Values = Record<string, string>;

/** What `firebase deploy` reads the .env files of functions, and with them of kits, with. */
const firebase = jest.requireActual<{
  parse(text: string): { envs: Values; errors: string[] };
  parseStrict(text: string): Values;
  validateKey(name: string): void;
}>("firebase-tools/lib/functions/env");

/** What `firebase deploy` reads the .env files of extensions with. */
const { readEnvFile } = jest.requireActual<{ readEnvFile(file: string): Values }>(
  "firebase-tools/lib/extensions/paramHelper",
);

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "env-file-"));
  file = path.join(folder, ".env");
});

afterEach(() => rmSync(folder, { recursive: true }));

/** The outcome of a reader: values, or an error without its message. */
function outcome(read: () => object): object | "refused" {
  try {
    return { ...read() };
  } catch {
    return "refused";
  }
}

/** What our commands read of a file: its params, and whether they warn that a deployment refuses a name. */
const ourOutcome = () => outcome(() => readParamsFile(file).params);

const paramsOf = (values: object) =>
  Object.fromEntries(Object.entries(values).filter(([name]) => name in PARAM_SPECS));

const POLICIES = '[{"name":"a","by":"uid"}]';

test.each<[what: string, content: string | Buffer]>([
  ["plain lines", "REDIS_HOST=10.0.0.3\nREDIS_PORT=6379\n"],
  ["a byte order mark", "\uFEFFREDIS_HOST=10.0.0.3\nREDIS_PORT=6379\n"],
  ["line breaks of Windows", "REDIS_HOST=10.0.0.3\r\nREDIS_PORT=6379\r\n"],
  [
    "spaces, export and comments",
    "  export REDIS_HOST = 10.0.0.3 # here\n# REDIS_PORT=1\n\n\tMODE=firestore#x",
  ],
  ["quotes and escapes", `REDIS_HOST="10.0.0.3"\nKEY_PREFIX='a\\nb'\nADMIN_CLAIM="a\\nb\\"c\\\\"`],
  ["JSON without quotes", `RATE_LIMIT_POLICIES=${POLICIES}`],
  ["JSON in several lines", `RATE_LIMIT_POLICIES='[\n  ${POLICIES.slice(1)}'\nMODE=firestore`],
  ["a # within quotes and without", `KEY_PREFIX="a#b"\nADMIN_CLAIM=a#b`],
  ["a quote that does not end", `KEY_PREFIX="a\nMODE=firestore`],
  ["no value", "REDIS_HOST=\nVPC_CONNECTOR=  \nMODE=firestore"],
  ["a name twice", "MODE=firestore\nMODE=dual-write\n"],
  ["names of the extension's system", "firebaseextensions.v1beta.function/location=x\nMODE=firestore"],
  ["a line that is no assignment", "REDIS_HOST 10.0.0.3\nMODE=firestore"],
  ["a name with a dash", "REDIS-HOST=10.0.0.3"],
  ["UTF-16", Buffer.from("\uFEFFREDIS_HOST=10.0.0.3\n", "utf16le")],
  ["UTF-16 without a byte order mark", Buffer.from("REDIS_HOST=10.0.0.3\n", "utf16le")],
  ["UTF-16, big end first", Buffer.from("\uFEFFREDIS_HOST=10.0.0.3\n", "utf16le").swap16()],
  ["nothing", ""],
])("a file with %s is read, or refused, as by `firebase deploy`", (_what, content) => {
  writeFileSync(file, content);
  const expected = outcome(() => paramsOf(readEnvFile(file)));
  expect(ourOutcome()).toEqual(expected);
});

/** Texts of what the grammar is made of. */
const textsOf = (...more: string[]) => {
  const pieces = [
    "A",
    "MODE",
    "a.b/c",
    "=",
    "=",
    " ",
    "\t",
    "\n",
    "\n",
    "\r\n",
    "\uFEFF",
    "#",
    "'",
    '"',
    "\\",
    "\\n",
  ];
  const others = ['\\"', "export", "export ", "MODE=x", "é", "-", ...more];
  return fc.array(fc.constantFrom(...pieces, ...others), { maxLength: 30 }).map((parts) => parts.join(""));
};

test("any text is read as by `firebase deploy`", () => {
  fc.assert(
    fc.property(textsOf("\r"), (text) => {
      const { envs, errors } = firebase.parse(text);
      const { values, invalidLines } = parseEnvFile(text);
      expect(Object.fromEntries(values)).toEqual(envs);
      expect(invalidLines.length).toBe(errors.length);
    }),
    { numRuns: 2000 },
  );
});

test("in any file that `firebase deploy` takes, it reads a value that was assigned, and all others as before", () => {
  fc.assert(
    fc.property(textsOf(), (text) => {
      const { envs, errors } = firebase.parse(text);
      fc.pre(errors.length === 0);
      const assigned = firebase.parse(assignInEnvFile(text, { MODE: "c" }));
      expect(assigned).toEqual({ envs: { ...envs, MODE: "c" }, errors });
    }),
    { numRuns: 1000 },
  );
});

test.each([
  ...["REDIS_HOST", "redis_host", "_A", "1A", "a.b/c", "PORT", "PORTS", "GCLOUD_PROJECT", "K_SERVICE"],
  ...["FIREBASE_X", "FIREBASE_SECRET_REF_", "FIREBASE_SECRET_REF_X", "X_GOOGLE_A", "KIT_A", "EXT_A"],
  ...["EXT_SELECTED_EVENTS", "EXT_SELECTED_EVENTS_2", "EXT_MIGRATED_SYSTEM_", "EXT_MIGRATED_SYSTEM_X"],
])("the name %s is taken, or refused, as by `firebase deploy`", (name) => {
  expect(isDeployableName(name)).toBe(outcome(() => ({ is: firebase.validateKey(name) })) !== "refused");
});

test.each([
  ["REDIS_H0ST", "REDIS_HOST"],
  ["redis_host", "REDIS_HOST"],
  ["Mode", "MODE"],
  ["QUOTA_COLECTION_PATH", "QUOTA_COLLECTION_PATH"],
  ["RATE_LIMIT_POLICY", undefined],
  ["NODE_ENV", undefined],
])("%s resembles %s", (name, expected) => {
  expect(findSimilarName(name, Object.keys(PARAM_SPECS))).toBe(expected);
});

test.each([
  ["the last of two, which counts", "MODE=a # x\nB=1\nMODE=b  # y", "MODE=a # x\nB=1\nMODE=c  # y"],
  ["a value in quotes", `export MODE="a\nb"\nB=1\n`, "export MODE=c\nB=1\n"],
  ["an empty value", "MODE=\nB=1\n", "MODE=c\nB=1\n"],
  ["a new line", "B=1", "B=1\nMODE=c\n"],
  ["a line after a comment", "# MODE=a\n", "# MODE=a\nMODE=c\n"],
  ["after a byte order mark", "\uFEFFMODE=a\r\nB=1\r\n", "\uFEFFMODE=c\r\nB=1\r\n"],
])("a value is assigned to %s", (_what, before, after) => {
  expect(assignInEnvFile(before, { MODE: "c" })).toBe(after);
  expect(firebase.parseStrict(after)["MODE"]).toBe("c");
});

describe("a command with --env-file", () => {
  const explain = (...args: string[]) => runCommand(["policies", "explain", "--env-file", file, ...args]);

  test.each<[what: string, content: Buffer | string | undefined, expected: RegExp]>([
    [
      "that does not exist",
      undefined,
      /^Expected `--env-file` to be a file .*; got ".*\.env", which does not exist\.\n$/,
    ],
    [
      "in UTF-16",
      Buffer.from("\uFEFFA=1", "utf16le"),
      /^Expected `--env-file` to be UTF-8 text; got UTF-16 or/,
    ],
    [
      "with other lines",
      "A=1\n\nhunter2\n",
      /^Expected `--env-file` to be lines of NAME=value .*, line 3\.\n$/,
    ],
  ])("%s ends with exit code 2, and shows no content", async (_what, content, expected) => {
    if (content !== undefined) writeFileSync(file, content);
    const { exitCode, output, errors } = await explain();
    expect(errors).toMatch(expected);
    expect(output + errors).not.toContain("hunter2");
    expect(exitCode).toBe(2);
  });

  test("that is a folder ends with exit code 2", async () => {
    mkdirSync(file);
    const { exitCode, errors } = await explain();
    expect({ exitCode, errors }).toEqual({
      exitCode: 2,
      errors: expect.stringContaining("a directory") as string,
    });
  });

  test("cannot be written through", () => {
    expect(() => setParams(path.join(folder, "none"), { MODE: "firestore" })).toThrow(/which does not exist/);
  });

  test.each<[what: string, files: Values, read: string, warnings: RegExp[]]>([
    [
      "names that resemble params",
      { ".env": "REDIS_H0ST=a\nmode=b" },
      ".env",
      [/REDIS_H0ST .* REDIS_HOST\?/, /mode .* MODE\?/],
    ],
    [
      "names that a deployment refuses",
      { ".env": "GCLOUD_PROJECT=a\nfoo=b" },
      ".env",
      [/GCLOUD_PROJECT/, /foo/],
    ],
    ["no other names", { ".env": "OTHER=a" }, ".env", []],
    [
      "no names of an extension's system",
      { "q.env": "firebaseextensions.v1beta.function/location=x" },
      "q.env",
      [],
    ],
    [
      "another project's file",
      { ".env.prod": "" },
      ".env.prod",
      [/reads \.env and \.env\.shop, not \.env\.prod/],
    ],
    ["not of an alias", { ".env.prod": "", ".firebaserc": '{"projects":{"prod":"shop"}}' }, ".env.prod", []],
    ["the emulators' file", { ".env.local": "" }, ".env.local", [/only the emulators/]],
    ["a second file", { ".env": "", ".env.shop": "" }, ".env", [/also reads \.env\.shop/]],
    ["the common file", { ".env": "", ".env.shop": "" }, ".env.shop", [/also reads \.env;/]],
  ])("warns of %s", async (_what, files, read, warnings) => {
    for (const [name, content] of Object.entries(files)) writeFileSync(path.join(folder, name), content);
    file = path.join(folder, read);
    const { errors } = await explain("--project", "shop");
    const lines = errors.split("\n").filter((line) => line.startsWith("WARNING --env-file: "));
    expect(lines).toHaveLength(warnings.length);
    for (const [i, warning] of warnings.entries()) expect(lines[i]).toMatch(warning);
  });
});

test("without a project, only the common file is looked for", () => {
  for (const name of [".env.undefined", ".env.shop"]) writeFileSync(path.join(folder, name), "");
  expect(warnOfOtherFiles(path.join(folder, ".env.shop"), undefined)).toEqual([]);
});

test("--version is the package's", async () => {
  const { version } = JSON.parse(
    readFileSync(path.join(__dirname, "../../functions/package.json"), "utf8"),
  ) as { version: string };
  expect(await runCommand(["--version"])).toEqual({ exitCode: 0, output: `${version}\n`, errors: "" });
});
