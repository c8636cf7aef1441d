import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { NODE, npm, ROOT, runQuietly } from "./processes.mjs";

const INSTALL_TIMEOUT_MS = 900_000;
const BUILD_TIMEOUT_MS = 180_000;

/** Whether node_modules holds what package-lock.json says, by npm's own record of what it has installed. */
export async function isInstalled() {
  const wanted = await readLock("package-lock.json");
  const installed = await readLock("node_modules/.package-lock.json");
  return Object.entries(wanted).every(
    ([path, { version, optional, link }]) =>
      optional || link || !path.includes("node_modules/") || installed[path]?.version === version,
  );
}

/** Installs exactly what package-lock.json says. */
export async function install() {
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  await runQuietly(...npm(args), { timeoutMs: INSTALL_TIMEOUT_MS });
  if (existsSync(NODE)) return;
  throw new Error(
    "npm has run no install scripts, which Node.js comes by. Run: npm ci --ignore-scripts=false",
  );
}

// A hash, because checking out a branch changes times without changing files, and the other way round.
const BUILT_FROM = join(ROOT, ".tmp", "functions-built-from");

/** Whether functions/dist was built from the sources as they are now. */
export async function isBuilt() {
  if (!existsSync(join(ROOT, "functions", "dist"))) return false;
  return (await readFile(BUILT_FROM, "utf8").catch(() => "")) === (await hashSources());
}

/** Compiles functions/. */
export async function build() {
  await runQuietly(...npm(["run", "build", "--silent", "--workspace", "functions"]), {
    timeoutMs: BUILD_TIMEOUT_MS,
  });
  await mkdir(join(ROOT, ".tmp"), { recursive: true });
  await writeFile(BUILT_FROM, await hashSources());
}

async function hashSources() {
  const hash = createHash("sha256");
  for (const path of [
    "tsconfig.base.json",
    "package-lock.json",
    "extension.yaml",
    ...(await filesBelow("functions")),
  ]) {
    hash.update(path).update(await readFile(join(ROOT, path)));
  }
  return hash.digest("hex");
}

async function filesBelow(dir) {
  const entries = await readdir(join(ROOT, dir), { withFileTypes: true });
  const files = await Promise.all(
    entries
      .filter(({ name }) => name !== "node_modules" && name !== "dist" && !name.includes(".generated."))
      .map((entry) => (entry.isDirectory() ? filesBelow(join(dir, entry.name)) : [join(dir, entry.name)])),
  );
  return files.flat().sort();
}

async function readLock(path) {
  try {
    return JSON.parse(await readFile(join(ROOT, path), "utf8")).packages;
  } catch (error) {
    if (error.code === "ENOENT") return {};
    throw error;
  }
}
