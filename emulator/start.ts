import { rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../scripts/free-ports.mjs";
import { CliProcess } from "./cli-process.ts";
import { LISTENERS, type Ports, writeProjectDir } from "./project-dir.ts";

const START_TIMEOUT_MS = 90_000;
const OFFICIAL_START_TIMEOUT_MS = 300_000; // it downloads
const READY = "All emulators ready";
// The Functions emulator starts with the extension; named here, it would ask for functions of the project's own.
const EMULATORS = "extensions,auth,firestore,pubsub";

export interface EmulatorsOptions {
  /** Where the extension finds Redis, on 127.0.0.1. */
  redisPort: number;
  /** A `demo-` project: the CLI then calls nothing outside. */
  projectId?: string;
  instanceId?: string;
  /** The folder of extension.yaml; this repository if absent. */
  extensionPath?: string;
  /** The extension's params, before its own defaults. */
  params?: Record<string, string>;
  /** Google's own emulators instead of the stand-ins: they need Java 21 and a download. */
  official?: boolean;
  /** Told of each line that the CLI and the functions print. */
  log?: (line: string) => void;
}

export interface FirebaseEmulators {
  readonly projectId: string;
  readonly ports: Ports;
  /** `host:port`, as FIRESTORE_EMULATOR_HOST wants it. */
  readonly firestoreHost: string;
  /** `host:port`, as FIREBASE_AUTH_EMULATOR_HOST wants it. */
  readonly authHost: string;
  /** The URL of an HTTPS or callable function of the extension, by its resource name. */
  functionUrl(name: string): string;
  /** Lets a scheduled function of the extension run now; it has been delivered when this returns, not finished. */
  runSchedule(name: string): Promise<void>;
  /** What the CLI and the functions printed. */
  output(): string;
  /** Ends all processes and removes all files. */
  stop(): Promise<void>;
}

/**
 * Starts the extension in the Firebase emulators, on free ports, and waits until its functions are loaded.
 *
 * @throws Error with the CLI's output when that takes more than 90 s or fails
 *
 * @example
 * const redis = await startRedis();
 * const emulators = await startFirebaseEmulators({ redisPort: redis.port, params: { MODE: "redis-primary" } });
 * await fetch(emulators.functionUrl("checkQuota"), { method: "POST" });
 * await emulators.stop();
 */
export async function startFirebaseEmulators(options: EmulatorsOptions): Promise<FirebaseEmulators> {
  const {
    redisPort,
    projectId = "demo-firestore-redis-quota",
    instanceId = "firestore-redis-quota",
    extensionPath = join(import.meta.dirname, ".."),
    official = process.env["FRQ_EMULATORS"] === "official",
    log = () => {},
  } = options;
  const location = options.params?.["LOCATION"] ?? "us-central1";
  const params = {
    LOCATION: location,
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redisPort),
    VPC_CONNECTOR: `projects/${projectId}/locations/${location}/connectors/emulated`,
    ...options.params,
  };

  const found = await freePorts(LISTENERS.length);
  const ports = Object.fromEntries(LISTENERS.map((name, index) => [name, found[index]])) as Ports;
  const projectDir = await writeProjectDir({ instanceId, path: extensionPath, params }, ports);
  const cli = new CliProcess({
    command: [cliScript(official), "emulators:start", "--only", EMULATORS, "--project", projectId],
    projectDir,
    env: cliEnv(projectDir),
    log,
  });
  const stop = async (): Promise<void> => {
    await cli.stop();
    await rm(projectDir, { recursive: true, force: true });
  };

  try {
    await cli.untilPrinted(READY, official ? OFFICIAL_START_TIMEOUT_MS : START_TIMEOUT_MS);
    await requireExtension(ports.functions, instanceId, cli);
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    projectId,
    ports,
    firestoreHost: `127.0.0.1:${ports.firestore}`,
    authHost: `127.0.0.1:${ports.auth}`,
    functionUrl: (name) =>
      `http://127.0.0.1:${ports.functions}/${projectId}/${location}/ext-${instanceId}-${name}`,
    runSchedule: (name) => publish(ports.pubsub, projectId, `firebase-schedule-ext-${instanceId}-${name}`),
    output: () => cli.output(),
    stop,
  };
}

function cliScript(official: boolean): string {
  return official
    ? createRequire(import.meta.url).resolve("firebase-tools/lib/bin/firebase.js")
    : join(import.meta.dirname, "firebase-cli.ts");
}

/** Keeps the CLI and the functions away from the network and from the developer's credentials. */
function cliEnv(home: string): Record<string, string | undefined> {
  return {
    ...process.env,
    HOME: home,
    XDG_CONFIG_HOME: undefined,
    GOOGLE_APPLICATION_CREDENTIALS: undefined,
    FIREBASE_TOKEN: undefined,
    METADATA_SERVER_DETECTION: "none",
    FIREBASE_EMULATORS_PATH:
      process.env["FIREBASE_EMULATORS_PATH"] ?? join(homedir(), ".cache/firebase/emulators"),
    NO_PROXY: [process.env["NO_PROXY"], "127.0.0.1,localhost"].filter(Boolean).join(","),
    NO_UPDATE_NOTIFIER: "1",
    CI: "true", // no message of the day
    NO_COLOR: "1",
    FORCE_COLOR: undefined,
    // A function has a process per call in flight: unbounded, a burst of calls starts 50 of them.
    FUNCTIONS_EMULATOR_PARALLEL: process.env["FUNCTIONS_EMULATOR_PARALLEL"] ?? "4",
  };
}

/** The CLI reports an extension that it could not load, and goes on without it. */
async function requireExtension(functionsPort: number, instanceId: string, cli: CliProcess): Promise<void> {
  const { backends } = (await fetch(`http://127.0.0.1:${functionsPort}/backends`)
    .then((response) => response.json())
    .catch(() => ({ backends: [] }))) as { backends: { extensionInstanceId?: string }[] };
  if (backends.some((backend) => backend.extensionInstanceId === instanceId)) return;
  throw new Error(`The emulators run without the extension ${instanceId}. The CLI printed:\n${cli.output()}`);
}

async function publish(pubsubPort: number, projectId: string, topic: string): Promise<void> {
  const url = `http://127.0.0.1:${pubsubPort}/v1/projects/${projectId}/topics/${topic}:publish`;
  const body = JSON.stringify({ messages: [{ data: "", attributes: { scheduled: "true" } }] });
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
  });
  if (!response.ok)
    throw new Error(`Publishing to ${topic} failed: ${response.status} ${await response.text()}`);
}
