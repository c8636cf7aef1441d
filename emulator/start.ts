import { rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { freePorts } from "../scripts/free-ports.mjs";
import { CliProcess } from "./cli-process.ts";
import {
  EmulatedProject,
  type Form,
  LISTENERS,
  type Ports,
  type ProjectAddress,
} from "./emulated-project.ts";
import { type EmulatedCodebase, type EmulatedInstance, writeParams, writeProjectDir } from "./project-dir.ts";

const START_TIMEOUT_MS = 240_000;
const OFFICIAL_START_TIMEOUT_MS = 300_000; // includes a download
/** What the CLI is to do besides. */
const ADDITIONS = ["take-params.ts", "extension-tasks.ts"].map(
  (file) => pathToFileURL(join(import.meta.dirname, file)).href,
);
const READY = "All emulators ready";
const EMULATORS: Record<Form, string> = {
  // The Functions emulator comes with the extension; named here, it would ask for functions of the project's own.
  extension: "extensions,auth,firestore,pubsub",
  kit: "functions,auth,firestore,pubsub",
};

export interface EmulatorsOptions {
  /** Where the functions find Redis, on 127.0.0.1. */
  redisPort: number;
  /** What the product is installed as; an extension if absent. */
  form?: Form;
  /** Its first letters are `demo-`, so that the CLI calls nothing outside. */
  projectId?: string;
  instanceId?: string;
  /** The folder of extension.yaml; this repository if absent. */
  extensionPath?: string;
  /** Params of the instance; those left out have their defaults. */
  params?: Record<string, string>;
  /** An app's own functions beside the product. */
  codebase?: EmulatedCodebase;
  /** Google's own emulators instead of the stand-ins: they need Java 21 and a download. */
  official?: boolean;
  /** Told of each line that the CLI and the functions print. */
  log?: (line: string) => void;
}

interface StartedProject {
  readonly dir: string;
  readonly instance: EmulatedInstance;
  readonly codebase: EmulatedCodebase | undefined;
}

/** Emulators that this process started. */
export class FirebaseEmulators extends EmulatedProject {
  readonly #cli: CliProcess;
  readonly #project: StartedProject;

  constructor(address: ProjectAddress, cli: CliProcess, project: StartedProject) {
    super(address);
    this.#cli = cli;
    this.#project = project;
  }

  /** The CLI's process, which leads the process group of everything that it started. */
  get pid(): number {
    return this.#cli.pid;
  }

  /** What the CLI and the functions printed. */
  output(): string {
    return this.#cli.output();
  }

  /**
   * Gives the instance, and the app's own functions if their environment is not a text, other values of these params, as a
   * deployment does: a call that is running ends with the old ones, and every later call has the new ones.
   */
  async configure(params: Record<string, string>): Promise<void> {
    const { dir, instance, codebase } = this.#project;
    Object.assign(instance.params, params);
    if (codebase && typeof codebase.env === "object") Object.assign(codebase.env, appVariables(params));
    await writeParams(dir, instance, codebase);
    await this.#cli.ask(params);
  }

  /** Ends all processes and removes all files. */
  async stop(): Promise<void> {
    await this.#cli.stop();
    await rm(this.#project.dir, { recursive: true, force: true });
  }

  /** Waits until all emulators run and the instance's functions are loaded. */
  async untilReady(timeoutMs: number): Promise<void> {
    await this.#cli.untilPrinted(READY, timeoutMs);
    const loaded = await loadedFunctions(this.ports.functions);
    if (loaded.some((name) => name.startsWith(this.functionName("")))) return;
    throw new Error(
      `The emulators run without the ${this.address.form}. The Firebase CLI printed:\n${this.output()}`,
    );
  }
}

/**
 * Starts the product in the Firebase emulators, on free ports, and waits until its functions are loaded.
 *
 * @throws Error with the CLI's output when that fails or takes longer than 4 minutes
 *
 * @example
 * const redis = await startRedis();
 * const emulators = await startFirebaseEmulators({ redisPort: redis.port });
 * await fetch(emulators.functionUrl("checkRateLimit"), { method: "POST" });
 * await emulators.stop();
 */
export async function startFirebaseEmulators(options: EmulatorsOptions): Promise<FirebaseEmulators> {
  const {
    redisPort,
    form = "extension",
    projectId = "demo-firestore-redis-quota",
    instanceId = "firestore-redis-quota",
    extensionPath = join(import.meta.dirname, ".."),
    official = process.env["FRQ_EMULATORS"] === "official",
    log = () => {},
  } = options;
  const location = options.params?.["LOCATION"] ?? "europe-west1";
  const params = {
    LOCATION: location,
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redisPort),
    VPC_CONNECTOR: `projects/${projectId}/locations/${location}/connectors/emulated`,
    ...options.params,
  };
  const ports = await choosePorts();
  const instance = { form, instanceId, path: extensionPath, params };
  const codebase = options.codebase && { ...options.codebase, env: copyOf(options.codebase.env) };
  const projectDir = await writeProjectDir(instance, ports, codebase);
  const only = codebase && form === "extension" ? `functions,${EMULATORS[form]}` : EMULATORS[form];
  const cli = new CliProcess({
    command: [
      ...ADDITIONS.flatMap((addition) => ["--import", addition]),
      cliScript(official),
      "emulators:start",
      "--only",
      only,
      "--project",
      projectId,
    ],
    projectDir,
    env: cliEnv(projectDir),
    log,
  });
  const emulators = new FirebaseEmulators({ projectId, form, instanceId, location, ports }, cli, {
    dir: projectDir,
    instance,
    codebase,
  });
  try {
    await emulators.untilReady(official ? OFFICIAL_START_TIMEOUT_MS : START_TIMEOUT_MS);
    return emulators;
  } catch (error) {
    await emulators.stop();
    throw error;
  }
}

/** The params as an app's own functions have them in their environment, for the SDK. */
export function appVariables(params: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [`REDIS_QUOTA_${name}`, value]));
}

function copyOf(env: EmulatedCodebase["env"]): EmulatedCodebase["env"] {
  return typeof env === "string" ? env : { ...env };
}

async function choosePorts(): Promise<Ports> {
  const ports = await freePorts(LISTENERS.length);
  return Object.fromEntries(LISTENERS.map((name, index) => [name, ports[index]])) as Ports;
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
    // Seconds that a process may take to load the functions. After that the emulator never answers the call.
    FUNCTIONS_DISCOVERY_TIMEOUT: process.env["FUNCTIONS_DISCOVERY_TIMEOUT"] ?? "120",
    // Each call in flight has a process of its own: unbounded, a burst of calls starts 50.
    FUNCTIONS_EMULATOR_PARALLEL: process.env["FUNCTIONS_EMULATOR_PARALLEL"] ?? "4",
  };
}

/** The functions in the Functions emulator: the CLI reports an instance that it cannot load, and goes on without it. */
async function loadedFunctions(functionsPort: number): Promise<string[]> {
  try {
    const response = await fetch(`http://127.0.0.1:${functionsPort}/backends`);
    const { backends } = (await response.json()) as { backends: { functionTriggers: { name: string }[] }[] };
    return backends.flatMap(({ functionTriggers }) => functionTriggers.map(({ name }) => name));
  } catch {
    return [];
  }
}
