/**
 * Puts what the deployed functions run into one file, dist/runtime.js, with the notices of the libraries in it.
 *
 * Usage: node scripts/bundle.mjs [the folder of what is compiled, by default dist]
 *
 * Google's libraries stay outside: an app's own functions share them, and some are loaded only when they are needed.
 */
import { readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const outDir = path.resolve(process.argv[2] ?? path.join(root, "dist"));

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ["src/runtime.ts"],
  outfile: path.join(outDir, "runtime.js"),
  bundle: true,
  platform: "node",
  target: "node22",
  external: ["firebase-admin", "firebase-functions", "@google-cloud/*", "@grpc/*"],
  metafile: true,
  logLevel: "warning",
});

// The doors by import have the types of those by require, with the comments that editors show.
for (const door of ["lib", "testing"])
  await writeFile(path.join(outDir, `${door}.d.mts`), `export * from "./${door}.js";\n`);

/** The folder of the package that a file belongs to, if it is one of a library. */
const packageOf = (file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];

const folders = new Set(Object.keys(metafile.inputs).map(packageOf).filter(Boolean));
const notices = await Promise.all(
  [...folders].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(
      await readFile(path.resolve(root, folder, "package.json"), "utf8"),
    );
    const files = (await readdir(path.resolve(root, folder))).filter((each) =>
      /^(licen[cs]e|notice)/i.test(each),
    );
    if (files.length === 0) throw new Error(`${name} has no license file to pass on.`);
    const texts = await Promise.all(files.map((file) => readFile(path.resolve(root, folder, file), "utf8")));
    return `${name} ${version} (${license})\n\n${texts.map((text) => text.trim()).join("\n\n")}\n`;
  }),
);
await writeFile(path.join(outDir, "runtime.js.LICENSES.txt"), notices.join(`\n${"-".repeat(80)}\n\n`));
