import { execFile, execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import Ajv from "ajv";
import { parse } from "yaml";

import {
  EXTENSION_PARAM_SPECS,
  KIT_ONLY_PARAM_SPECS,
  type ParamSpec,
} from "../../functions/src/config/param-specs";
import * as deployables from "../../functions/src/index";
import { SYNC_FIELD } from "../../functions/src/quota/quota";

interface Param {
  param: string;
  label: string;
  description: string;
  type: string;
  default?: string;
  required?: boolean;
  validationRegex?: string;
  validationErrorMessage?: string;
  options?: { value: string }[];
}

interface Resource {
  name: string;
  type: string;
  description: string;
  properties: Record<string, unknown>;
}

const ROOT = path.resolve(__dirname, "../..");
const read = (file: string) => readFileSync(path.join(ROOT, file), "utf8");
const readJson = (file: string) => JSON.parse(read(file)) as Record<string, unknown>;

const extension = parse(read("extension.yaml")) as {
  name: string;
  version: string;
  params: Param[];
  resources: Resource[];
  roles: { role: string; reason: string }[];
  lifecycleEvents: Record<string, { function: string }>;
};

/** The cells of the rows below a Markdown table's header, without their backticks. */
function table(markdown: string, header: string): string[][] {
  const lines = markdown.split("\n");
  const normalise = (line: string) =>
    line
      .split("|")
      .map((cell) => cell.trim())
      .join("|");
  const start = lines.findIndex((line) => normalise(line) === normalise(header));
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(0, end === -1 ? rows.length : end).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`(.*)`$/, "$1")),
  );
}

describe("the Firebase CLI's own rules", () => {
  test("extension.yaml is valid by the CLI's checks, with every param substituted", async () => {
    const { getLocalExtensionSpec } = jest.requireActual<{
      getLocalExtensionSpec(directory: string): Promise<{ resources: Resource[] }>;
    }>("firebase-tools/lib/extensions/localHelper");
    const { substituteParams, validateSpec } = jest.requireActual<{
      substituteParams<T>(spec: T, params: Record<string, string>): T;
      validateSpec(spec: unknown): void;
    }>("firebase-tools/lib/extensions/extensionsHelper");
    const spec = await getLocalExtensionSpec(ROOT);
    expect(() => validateSpec(spec)).not.toThrow();
    const values = Object.fromEntries(
      extension.params.map(({ param, default: value }) => [param, value ?? "set"]),
    );
    const substituted = substituteParams(spec.resources, { ...values, PROJECT_ID: "demo-p" });
    expect(JSON.stringify(substituted)).not.toMatch(/\$\{/);
  });

  test("extension.yaml is valid by the CLI's JSON schema", () => {
    const schema = readJson("node_modules/firebase-tools/schema/extension-yaml.json");
    const validate = new Ajv({ strict: false }).compile(schema);
    // The schema wants a list here; the CLI itself, and the documentation, a map.
    validate({ ...extension, lifecycleEvents: [extension.lifecycleEvents] });
    expect(validate.errors).toBeNull();
  });

  test("the newest entry of CHANGELOG.md, as the CLI parses it, is this version", () => {
    const { parseChangelog } = jest.requireActual<{
      parseChangelog(text: string): Record<string, string>;
    }>("firebase-tools/lib/extensions/change-log");
    const changes = parseChangelog(read("CHANGELOG.md"));
    expect(Object.keys(changes)[0]).toBe(extension.version);
    expect(changes[extension.version]?.trim()).toBeTruthy();
  });

  test("names fit into their limits", () => {
    expect(extension.name.length).toBeLessThanOrEqual(40);
    for (const { name } of extension.resources) {
      expect(`ext-${extension.name}-${name}`.length).toBeLessThanOrEqual(63);
    }
  });

  test("icon.png is a PNG of 512 by 512", () => {
    const icon = readFileSync(path.join(ROOT, "icon.png"));
    expect(icon.subarray(1, 4).toString()).toBe("PNG");
    expect([icon.readUInt32BE(16), icon.readUInt32BE(20)]).toEqual([512, 512]);
  });
});

test("examples/firestore.rules speaks of the params' default names, and of the fields of our own", () => {
  const rules = read("examples/firestore.rules");
  const blocks = [
    EXTENSION_PARAM_SPECS.QUOTA_COLLECTION_PATH.default,
    EXTENSION_PARAM_SPECS.SESSION_COLLECTION_PATH.default,
    "rateLimitPolicies", // as the forms' example has it
    "quotaCalls",
  ];
  for (const block of blocks) expect(rules).toContain(`match /${block}/{`);
  const fields = [
    EXTENSION_PARAM_SPECS.QUOTA_USED_FIELD.default,
    EXTENSION_PARAM_SPECS.QUOTA_LIMIT_FIELD.default,
    SYNC_FIELD,
  ];
  const list = `hasAny([${fields.map((field) => `'${field}'`).join(", ")}])`;
  expect(rules.split(list)).toHaveLength(3);
});

test("the extension's roles are those that docs/security.md gives reasons for", () => {
  const rows = table(read("docs/security.md"), "| Role | Extension | Kit | Why no less |");
  const documented = rows.filter(([, ofExtension]) => ofExtension === "yes").map(([role]) => role);
  expect(documented.sort()).toEqual(extension.roles.map(({ role }) => `roles/${role}`).sort());
});

describe("extension.yaml and the code agree", () => {
  test("every resource is an export, and every export a resource", () => {
    expect(extension.resources.map(({ name }) => name).sort()).toEqual(Object.keys(deployables).sort());
  });

  test("every function runs where the form says, behind the VPC connector, on the supported runtime", () => {
    for (const { type, properties } of extension.resources) {
      expect(type).toBe("firebaseextensions.v1beta.function");
      expect(properties).toMatchObject({
        runtime: "nodejs22",
        location: "${LOCATION}",
        vpcConnector: "${VPC_CONNECTOR}",
        vpcConnectorEgressSettings: "${VPC_CONNECTOR_EGRESS_SETTINGS}",
      });
    }
  });

  test("the params are those that the code declares, in the same order", () => {
    expect(extension.params.map(({ param }) => param)).toEqual(Object.keys(EXTENSION_PARAM_SPECS));
  });

  test.each(extension.params)("$param has one label, default, pattern and set of options", (param) => {
    const spec: ParamSpec = EXTENSION_PARAM_SPECS[param.param as keyof typeof EXTENSION_PARAM_SPECS];
    expect({
      label: param.label,
      default: param.default,
      required: param.required,
      pattern: param.validationRegex,
      options: param.options?.map(({ value }) => value),
    }).toEqual({
      label: spec.label,
      default: spec.default,
      required: spec.required,
      pattern: spec.pattern?.source.replaceAll("\\/", "/"),
      options: spec.options,
    });
    expect(param.description.trim()).not.toBe("");
    if (param.validationRegex) expect(param.validationErrorMessage).toBeTruthy();
    if (param.validationRegex && param.default)
      expect(param.default).toMatch(new RegExp(param.validationRegex));
  });

  test("a process that loads the deployed package without any param lists the functions and ends by itself", () => {
    const program = "console.log(Object.keys(require('./functions')).join())";
    const output = execFileSync(process.execPath, ["-e", program], { cwd: ROOT, env: {}, timeout: 20_000 });
    expect(output.toString().trim().split(",").sort()).toEqual(Object.keys(deployables).sort());
  });

  describe.each([
    ["extension", { EXT_INSTANCE_ID: "redis-quota" }],
    ["kit", {}],
  ])("an instance of the %s", (_form, form) => {
    const FIRESTORE = "@google-cloud/firestore/build";
    const names = Object.keys(deployables);

    /**
     * What a process finds that runs one function: which exports are there, and whether Google's client is loaded. Each
     * of the functions named loads the package anew, in one process.
     */
    const load = (...targets: string[]) => {
      const program = `
        const files = () => Object.keys(require.cache);
        const loaded = ${JSON.stringify(targets)}.map((target) => {
          for (const file of files()) if (/functions.dist/.test(file)) delete require.cache[file];
          process.env.FUNCTION_TARGET = target;
          const found = Object.entries(require("./functions")).filter(([, it]) => it).map(([name]) => name);
          const loadsFirestore = files().some((file) => file.replaceAll("\\\\", "/").includes("${FIRESTORE}"));
          return [target, { found, loadsFirestore }];
        });
        console.log(JSON.stringify(loaded));`;
      const output = execFileSync(process.execPath, ["-e", program], {
        cwd: ROOT,
        env: form,
        timeout: 60_000,
      });
      return new Map(
        JSON.parse(output.toString()) as [string, { loadsFirestore: boolean; found: string[] }][],
      );
    };

    test("of each finds it, and not all; of a function that an app exports beside these finds all", () => {
      const loaded = load("aiChat", ...names);
      expect(loaded.get("aiChat")!.found.sort()).toEqual(names.sort());
      for (const name of names) {
        const { found } = loaded.get(name)!;
        expect(found).toContain(name);
        expect(found.length).toBeLessThan(names.length);
      }
    });

    test("of a callable does not load Google's Firestore client", () => {
      const loaded = load("checkQuota", "mirrorQuota");
      expect(loaded.get("checkQuota")!.loadsFirestore).toBe(false);
      expect(loaded.get("mirrorQuota")!.loadsFirestore).toBe(true);
    });
  });
});

describe("the documents agree", () => {
  test("one version everywhere", () => {
    expect(readJson("functions/package.json")["version"]).toBe(extension.version);
  });

  test("the tables of params are those that npm run docs makes of extension.yaml", async () => {
    const script = pathToFileURL(path.join(ROOT, "scripts/param-tables.mjs")).href;
    const print = `console.log(JSON.stringify(await (await import(${JSON.stringify(script)})).documentsWithParams()))`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", print]);
    const documents = JSON.parse(stdout) as Record<string, string>;
    expect(Object.keys(documents)).toHaveLength(2);
    for (const [file, text] of Object.entries(documents)) expect(read(file)).toBe(text);
  });

  test("the table of the kit's own params is that of the code", () => {
    const rows = table(read("docs/params.md"), "| Param of the kit | Default | What it sets |");
    expect(rows.map(([name, value]) => [name, value])).toEqual(
      Object.entries<ParamSpec>(KIT_ONLY_PARAM_SPECS).map(([name, spec]) => [name, spec.default ?? "—"]),
    );
  });

  test("the README's table of functions is that of the extension", () => {
    const rows = table(read("README.md"), "| Function | Trigger | Does |");
    expect(rows.map(([name]) => name)).toEqual(extension.resources.map(({ name }) => name));
  });

  test("every path that ARCHITECTURE.md names exists", () => {
    const paths = [...read("ARCHITECTURE.md").matchAll(/`([\w.*-]+(?:\/[\w.*-]*)+)`/g)].map(
      ([, name]) => name!,
    );
    expect(paths.length).toBeGreaterThan(10);
    expect(paths.filter((name) => !name.includes("*") && !existsSync(path.join(ROOT, name)))).toEqual([]);
  });

  test("every param and function that the installation texts name exists", () => {
    const text = read("PREINSTALL.md") + read("POSTINSTALL.md");
    const params = new Set([...extension.params.map(({ param }) => param), "PROJECT_ID", "EXT_INSTANCE_ID"]);
    const functions = new Set(extension.resources.map(({ name }) => name));
    for (const [, name] of text.matchAll(/\$\{param:(\w+)\}/g)) expect(params).toContain(name);
    for (const [, name] of text.matchAll(/\$\{function:(\w+)\.\w+\}/g)) expect(functions).toContain(name);
  });

  test("the table of log entries in POSTINSTALL.md has every event and severity that the code logs", () => {
    const code = read("functions/src/observability/logs.ts");
    const logged = [...code.matchAll(/severity: (.+),\n\s+event: "(\w+)"/g)].map(([, severity, event]) => [
      event,
      [...severity!.matchAll(/"(\w+)"/g)].map(([, name]) => name).join(", "),
    ]);
    expect(logged.length).toBe([...code.matchAll(/\bevent: "/g)].length);
    const rows = table(read("POSTINSTALL.md"), "| `event` | Severity | Meaning |");
    const sorted = (severities: string) => severities.split(", ").sort().join(", ");
    expect(rows.map(([event, severity]) => `${event}: ${sorted(severity!)}`).sort()).toEqual(
      logged.map(([event, severity]) => `${event}: ${sorted(severity!)}`).sort(),
    );
  });

  test("the lock file holds no download addresses", () => {
    expect(read("package-lock.json")).not.toMatch(/"resolved": "http/);
  });

  test("every Lua script is inlined", () => {
    const scripts = readdirSync(path.join(ROOT, "functions/src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".lua") && !file.includes("/include/"))
      .map((file) => file.replace("/lua/", "/").replace(/\.lua$/, ""));
    const inlined = Object.values(
      jest.requireActual<Record<string, { name: string }>>("../../functions/src/redis/lua.generated"),
    );
    expect(inlined.map(({ name }) => name).sort()).toEqual(scripts.sort());
  });
});
