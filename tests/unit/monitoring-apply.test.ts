import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const ROOT = path.resolve(__dirname, "../..");
const KINDS = ["metrics", "dashboards", "policies"] as const;
const COUNTS = {
  metrics: readdirSync(path.join(ROOT, "monitoring/metrics")).length,
  dashboards: 1,
  policies: readdirSync(path.join(ROOT, "monitoring/alerts")).length,
};

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), "gcloud-"));
  copyFileSync(path.join(ROOT, "tests/harness/gcloud-stand-in.sh"), path.join(dir, "gcloud"));
});

afterEach(() => rmSync(dir, { recursive: true }));

/** The items that exist of a kind, with valid JSON as their configs. */
function items(kind: string) {
  return readdirSync(path.join(dir, kind)).map((item) => {
    const read = (file: string) => readFileSync(path.join(dir, kind, item, file), "utf8").trim();
    return { config: JSON.parse(read("config")) as unknown, channels: read("channels") };
  });
}

/** Runs the script, and returns what exists afterwards and how often each command was run. */
function apply(...args: string[]) {
  execFileSync(path.join(ROOT, "monitoring/apply.sh"), ["demo-project", ...args], {
    env: { PATH: `${dir}:${process.env["PATH"]}`, STATE_DIR: dir },
    stdio: "pipe",
  });
  const commands = readFileSync(path.join(dir, "commands"), "utf8").split("\n");
  rmSync(path.join(dir, "commands"));
  const count = (verb: string) =>
    Object.fromEntries(
      KINDS.map((kind) => [kind, commands.filter((command) => command === `${kind} ${verb}`).length]),
    );
  return {
    existing: Object.fromEntries(KINDS.map((kind) => [kind, items(kind).length])),
    created: count("create"),
    updated: count("update"),
    channels: [...new Set(items("policies").map(({ channels }) => channels))],
  };
}

// The stand-in shows which commands are run, in which order and with which files. That Google accepts them is not shown.
test("apply.sh creates everything once, then updates it, and keeps the notification channels of policies", () => {
  const none = { metrics: 0, dashboards: 0, policies: 0 };
  const first = apply("channels/mail");
  expect(first).toEqual({ existing: COUNTS, created: COUNTS, updated: none, channels: ["channels/mail"] });
  const second = { existing: COUNTS, created: none, updated: COUNTS };
  expect(apply()).toEqual({ ...second, channels: ["channels/mail"] });
  expect(apply("channels/chat")).toEqual({ ...second, channels: ["channels/mail,channels/chat"] });
}, 240_000);
