import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const ROOT = path.resolve(__dirname, "../..");
const STAND_IN = path.join(ROOT, "tests/harness/gcloud-stand-in.mjs");
const COUNTS = {
  metrics: readdirSync(path.join(ROOT, "monitoring/metrics")).length,
  dashboards: 1,
  policies: readdirSync(path.join(ROOT, "monitoring/alerts")).length,
};

interface State {
  commands: string[];
  metrics: Record<string, object>;
  dashboards: Record<string, object>;
  policies: Record<string, { notificationChannels?: string[] }>;
}

let dir: string;
let stateFile: string;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), "gcloud-"));
  stateFile = path.join(dir, "state.json");
  writeFileSync(stateFile, JSON.stringify({ commands: [], metrics: {}, dashboards: {}, policies: {} }));
  writeFileSync(path.join(dir, "gcloud"), `#!/bin/sh\nexec "${process.execPath}" "${STAND_IN}" "$@"\n`, {
    mode: 0o755,
  });
});

afterEach(() => rmSync(dir, { recursive: true }));

/** Runs the script, and returns what exists afterwards and how often each command was run. */
function apply(...args: string[]) {
  execFileSync(path.join(ROOT, "monitoring/apply.sh"), ["demo-project", ...args], {
    env: { ...process.env, PATH: `${dir}:${process.env["PATH"]}`, STATE_FILE: stateFile },
    stdio: "pipe",
  });
  const state = JSON.parse(readFileSync(stateFile, "utf8")) as State;
  const count = (verb: string) =>
    Object.fromEntries(
      Object.keys(COUNTS).map((kind) => [
        kind,
        state.commands.filter((command) => command.startsWith(`${kind} ${verb}`)).length,
      ]),
    );
  writeFileSync(stateFile, JSON.stringify({ ...state, commands: [] }));
  return { state, created: count("create"), updated: count("update") };
}

// The stand-in shows which commands are run, in which order and with which files. That Google accepts them is not shown.
test("apply.sh creates everything once, then updates it, and keeps the notification channels of policies", () => {
  const none = { metrics: 0, dashboards: 0, policies: 0 };
  const channelsOf = ({ policies }: State) => [
    ...new Set(Object.values(policies).map((policy) => policy.notificationChannels?.join())),
  ];
  const first = apply("channels/mail");
  expect(first).toMatchObject({ created: COUNTS, updated: none });
  expect(channelsOf(first.state)).toEqual(["channels/mail"]);
  const second = apply();
  expect(second).toMatchObject({ created: none, updated: COUNTS });
  expect(channelsOf(second.state)).toEqual(["channels/mail"]);
  expect(channelsOf(apply("channels/chat").state)).toEqual(["channels/mail,channels/chat"]);
  expect(Object.keys(second.state.policies)).toHaveLength(COUNTS.policies);
}, 240_000);
