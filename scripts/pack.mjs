/**
 * Packs functions/ as it is published: what is compiled, its types, the versions that were tested, a README.
 *
 * Usage: npm run pack
 *
 * Prints where the tarball is, and to stderr how many files it has and its size. The folder that it was packed from stays
 * beside it.
 */
import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { NODE, npm, ROOT, runQuietly } from "./processes.mjs";

const TIMEOUT_MS = 180_000;
const WIDTH = 100;
const PACKED = join(ROOT, ".tmp", "package");
const CONTENT = join(PACKED, "content");

const readJson = async (path) => JSON.parse(await readFile(join(ROOT, path), "utf8"));
const writeJson = (name, value) => writeFile(join(CONTENT, name), `${JSON.stringify(value, null, 2)}\n`);

async function pack() {
  await rm(PACKED, { recursive: true, force: true });
  await mkdir(CONTENT, { recursive: true });
  const manifest = await readJson("functions/package.json");
  delete manifest.scripts;
  // The app chooses the versions of its peers: firebase-functions recognizes errors only by its own classes. The source
  // also lists them as dependencies, because Cloud Build installs an extension by itself.
  const isOwn = ([name]) => !(name in manifest.peerDependencies);
  manifest.dependencies = Object.fromEntries(Object.entries(manifest.dependencies).filter(isOwn));
  // The extension's source names the one version that Cloud Functions is to run.
  manifest.engines = { node: ">=22" };
  await writeJson("package.json", { ...manifest, files: ["dist", ".env.example", "npm-shrinkwrap.json"] });
  await cp(join(ROOT, "functions", "README.md"), join(CONTENT, "README.md"));
  await cp(join(ROOT, "LICENSE"), join(CONTENT, "LICENSE"));
  await writeShrinkwrap(manifest);
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const to = ["--outDir", join(CONTENT, "dist")];
  await runQuietly(NODE, [compiler, "--project", "functions", ...to], { timeoutMs: TIMEOUT_MS });
  const bundler = join(ROOT, "functions", "scripts", "bundle.mjs");
  await runQuietly(NODE, [bundler, join(CONTENT, "dist")], { timeoutMs: TIMEOUT_MS });
  await writeFile(join(CONTENT, ".env.example"), exampleEnvironment());
  const args = ["pack", CONTENT, "--pack-destination", PACKED, "--ignore-scripts", "--loglevel=error"];
  await runQuietly(...npm(args), { timeoutMs: TIMEOUT_MS });
  return join(PACKED, `${manifest.name}-${manifest.version}.tgz`);
}

/** A .env file of a kit: each param with its label, description and default. */
function exampleEnvironment() {
  const require = createRequire(join(CONTENT, "dist/"));
  const { PARAM_SPECS } = require("./config/param-specs.js");
  const { formDescriptions } = require("./config/form-descriptions.generated.js");
  const comment = (text) => text.split(/\s+/).reduce(wrapped, "#");
  const params = Object.entries(PARAM_SPECS).map(([name, spec]) => [
    `# ${spec.label}${spec.required ? "" : " (optional)"}`,
    comment(spec.description ?? formDescriptions[name]),
    `${name}=${spec.default ?? ""}`,
  ]);
  return `${params.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** A comment with one more word, on a new line if it needs one. */
function wrapped(comment, word) {
  const line = comment.slice(comment.lastIndexOf("\n") + 1);
  return `${comment}${line.length + word.length < WIDTH ? "" : "\n#"} ${word}`;
}

/** The part of the repository's lock that the package needs: what was tested is what gets installed. */
async function writeShrinkwrap({ name, version, license, dependencies, peerDependencies, engines }) {
  const { packages: locked } = await readJson("package-lock.json");
  const packages = { "": { name, version, license, dependencies, peerDependencies, engines } };
  for (const [path, entry] of Object.entries(locked)) {
    delete entry.dev;
    delete entry.devOptional;
    const own = path.startsWith("functions/") ? path.slice("functions/".length) : undefined;
    if (own !== undefined) packages[own] = entry;
    else if (path.startsWith("node_modules/") && !entry.link) packages[path] ??= entry;
  }
  await writeJson("package-lock.json", { name, version, lockfileVersion: 3, requires: true, packages });
  // npm drops what the package does not need, and with --legacy-peer-deps its peers too: those are the app's.
  const args = ["install", "--prefix", CONTENT, "--package-lock-only", "--offline", "--ignore-scripts"];
  await runQuietly(...npm([...args, "--legacy-peer-deps", "--no-audit", "--loglevel=error"]), {
    timeoutMs: TIMEOUT_MS,
  });
  await rename(join(CONTENT, "package-lock.json"), join(CONTENT, "npm-shrinkwrap.json"));
}

const tarball = await pack();
const files = (await readdir(CONTENT, { recursive: true, withFileTypes: true })).filter((each) =>
  each.isFile(),
);
console.error(`${files.length} files, ${Math.round((await stat(tarball)).size / 1024)} KiB packed`);
console.log(tarball);
