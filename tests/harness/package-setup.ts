import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { setUpInBackground } from "./started.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

/** Packs the package once for all of tests/package. */
export default function setUp(): void {
  setUpInBackground("package", async () => {
    const { stdout } = await run(process.execPath, ["scripts/pack.mjs"], { cwd: ROOT });
    process.env["FRQ_TEST_TARBALL"] = stdout.trim();
  });
}
