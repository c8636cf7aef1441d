import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const LOOK_TIMEOUT_MS = 10_000;
const APT_TIMEOUT_MS = 300_000;

const run = promisify(execFile);

/** Whether packages can be installed here: by root, where there is apt-get. */
export async function canInstall() {
  if (process.getuid?.() !== 0) return false;
  try {
    await run("apt-get", ["--version"], { timeout: LOOK_TIMEOUT_MS });
    return true;
  } catch {
    return false;
  }
}

/** Installs a package of Debian or Ubuntu, without starting a service that comes with it. */
export async function installPackage(name) {
  const options = { timeout: APT_TIMEOUT_MS, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  const policyIsOurs = await forbidServiceStart();
  try {
    await run("apt-get", ["update", "-q"], options);
    await run("apt-get", ["install", "-q", "-y", "--no-install-recommends", name], options);
  } finally {
    if (policyIsOurs) await rm(POLICY_FILE);
  }
}

// Debian's packages ask this script whether they may start their service; 101 says no.
const POLICY_FILE = "/usr/sbin/policy-rc.d";

async function forbidServiceStart() {
  try {
    await writeFile(POLICY_FILE, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" });
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}
