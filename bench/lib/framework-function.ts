import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { freePorts } from "../../scripts/free-ports.mjs";
import { startServer } from "./server-process.ts";

/** An instance of one function, as Cloud Functions starts it: a process of its own behind Google's framework. */
export interface FrameworkFunction {
  readonly url: string;
  readonly pid: number;
  stop(): void;
}

// Its command; the package exports no more than its main file, beside which that is.
const FRAMEWORK = join(
  dirname(createRequire(import.meta.url).resolve("@google-cloud/functions-framework")),
  "main.js",
);
// V8 takes what the machine has, and this one has more than an instance: half of its 256 MiB.
const NODE_OPTIONS = "--max-old-space-size=128 --max-semi-space-size=8";
const SOURCE = join(import.meta.dirname, "../../functions");

/** Starts an instance of a function of the built package. */
export async function startFrameworkFunction(
  name: string,
  params: Readonly<Record<string, string>>,
  stderr: "inherit" | "ignore" = "inherit",
): Promise<FrameworkFunction> {
  const [port] = await freePorts(1);
  const { pid, stop } = await startServer(
    FRAMEWORK,
    [`--source=${SOURCE}`, `--target=${name}`, "--signature-type=http", `--port=${port}`],
    { ...process.env, NODE_OPTIONS, GCLOUD_PROJECT: "demo-bench", ...params },
    stderr,
  );
  return { url: `http://127.0.0.1:${port}/`, pid, stop };
}
