import { execFileSync } from "node:child_process";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** Packs the package once for all of tests/package. */
export default function setUp(): void {
  const pack = ["scripts/pack.mjs"];
  const output = execFileSync(process.execPath, pack, { cwd: ROOT, encoding: "utf8", stdio: "pipe" });
  process.env["FRQ_TEST_TARBALL"] = output.trim();
}
