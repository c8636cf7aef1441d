import { createRequire } from "node:module";

/**
 * The parts of firebase-tools that the stand-ins meet. The package has no types, and its emulators are replaced where
 * its controller looks them up.
 */
const require = createRequire(import.meta.url);

export interface EmulatorInfo {
  name: string;
  host: string;
  port: number;
}

/** What the CLI's controller expects of an emulator. */
export interface EmulatorInstance {
  getName(): string;
  getInfo(): EmulatorInfo;
  start(): Promise<void>;
  /** Called when all emulators have started. */
  connect(): Promise<void>;
  stop(): Promise<void>;
}

/** What the controller constructs the Firestore and Pub/Sub emulators with, of which more is passed than is named. */
export interface EmulatorAddress {
  host: string;
  port: number;
}

interface EmulatorLogger {
  logLabeled(
    level: "DEBUG" | "INFO" | "BULLET" | "SUCCESS" | "WARN" | "ERROR",
    label: string,
    text: string,
  ): void;
}

/** The Functions emulator, of which more is there than is named. */
export interface FunctionsEmulatorInstance {
  /** The codebases and extensions whose functions it runs. */
  staticBackends: { extensionInstanceId?: string; env: Record<string, string> }[];
  /** The processes that run them, by codebase. */
  workerPools: Record<string, { refresh(): void }>;
  /** Starts a process for a function, and waits until it takes calls. */
  startRuntime(...args: unknown[]): Promise<{ state: string; runtime: { process: { kill(): void } } }>;
}

export const { FunctionsEmulator } = require("firebase-tools/lib/emulator/functionsEmulator") as {
  FunctionsEmulator: { prototype: FunctionsEmulatorInstance };
};

export const { EmulatorRegistry } = require("firebase-tools/lib/emulator/registry") as {
  EmulatorRegistry: {
    getInfo(name: string): EmulatorInfo | undefined;
    get(name: "functions"): FunctionsEmulatorInstance | undefined;
  };
};

export const { EmulatorLogger } = require("firebase-tools/lib/emulator/emulatorLogger") as {
  EmulatorLogger: { forEmulator(name: string): EmulatorLogger };
};

/** A function of extension.yaml, and what the Functions emulator is told of it, of which more is there than is named. */
interface FunctionResource {
  properties?: { taskQueueTrigger?: object };
}
type TriggerDefinition = Record<string, unknown>;

export const triggerHelper = require("firebase-tools/lib/extensions/emulator/triggerHelper") as {
  functionResourceToEmulatedTriggerDefintion(
    resource: FunctionResource,
    systemParams?: Record<string, string>,
  ): TriggerDefinition;
};

/** Puts classes and functions of ours where the CLI looks up its own. */
export function replaceInCli(modulePath: string, replacements: Record<string, unknown>): void {
  Object.assign(require(`firebase-tools/lib/${modulePath}`) as object, replacements);
}

/** Runs the CLI with the arguments of this process. */
export function runCli(): void {
  require("firebase-tools/lib/bin/firebase.js");
}

export function functionsEmulator(): FunctionsEmulatorInstance {
  const emulator = EmulatorRegistry.get("functions");
  if (!emulator) throw new Error("The Functions emulator does not run.");
  return emulator;
}

/** Where the Functions emulator listens, `host:port`. */
export function functionsEmulatorHost(): string {
  const info = EmulatorRegistry.getInfo("functions");
  if (!info) throw new Error("The Functions emulator does not run.");
  return `${info.host}:${info.port}`;
}
