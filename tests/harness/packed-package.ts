import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";

const ROOT = path.resolve(__dirname, "../..");

/** The repository's copies of a package, the one that functions/ resolves to first. */
const COPIES = ["functions/node_modules", "node_modules"].map((folder) => path.join(ROOT, folder));

/** The packed package, which the set-up of tests/package has made. */
export function packedTarball(): string {
  const tarball = process.env["FRQ_TEST_TARBALL"];
  if (!tarball) throw new Error("Only tests in tests/package have the packed package.");
  return tarball;
}

/**
 * Installs the packed package in an app. As npm does with a shrinkwrap, it puts the package's dependencies in a
 * node_modules of its own; they are links to the repository's copies.
 *
 * @returns the package's folder
 */
export function installPacked(app: string): string {
  const installed = path.join(app, "node_modules/firestore-redis-quota");
  rmSync(installed, { recursive: true, force: true });
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["xzf", packedTarball(), "--strip-components=1", "-C", installed]);
  const { dependencies } = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8")) as {
    dependencies: Readonly<Record<string, string>>;
  };
  for (const name of Object.keys(dependencies)) {
    const link = path.join(installed, "node_modules", name);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(
      COPIES.map((folder) => path.join(folder, name)).find((copy) => existsSync(copy))!,
      link,
    );
  }
  return installed;
}
