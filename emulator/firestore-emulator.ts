import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { whenGone } from "../scripts/when-gone.mjs";
import {
  type EmulatorAddress,
  type EmulatorInfo,
  type EmulatorInstance,
  EmulatorLogger,
  functionsEmulatorHost,
} from "./firebase-tools.ts";

const MAIN = join(import.meta.dirname, "firestore", "main.ts");
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 3_000;

/** Runs the stand-in Firestore, as a process of its own, where the CLI would run Google's emulator. */
export class StandInFirestoreEmulator implements EmulatorInstance {
  readonly #address: EmulatorAddress;
  readonly #logger = EmulatorLogger.forEmulator("firestore");
  #server: ChildProcess | undefined;
  #cancelCleanUp = (): void => {};

  constructor(address: EmulatorAddress) {
    this.#address = address;
  }

  getName(): string {
    return "firestore";
  }

  getInfo(): EmulatorInfo {
    const { host, port } = this.#address;
    return { name: this.getName(), host, port };
  }

  async start(): Promise<void> {
    const { host, port } = this.#address;
    const listen = ["--host", host, "--port", String(port), "--functions-emulator", functionsEmulatorHost()];
    const server = spawn(process.execPath, [MAIN, ...listen], { stdio: ["ignore", "pipe", "pipe"] });
    this.#server = server;
    this.#cancelCleanUp = whenGone('kill -KILL "$1"', [String(server.pid)]);

    createInterface(server.stderr).on("line", (line) => this.#logger.logLabeled("WARN", "firestore", line));
    const output = createInterface(server.stdout);
    output.on("line", (line) => this.#logger.logLabeled("BULLET", "firestore", line));
    await Promise.race([
      once(output, "line"), // its first line says that it listens
      once(server, "exit").then(([code]) => this.#fail(`exited with code ${code} before it listened`)),
      sleep(START_TIMEOUT_MS, undefined, { ref: false }).then(() =>
        this.#fail(`did not listen on port ${port} within ${START_TIMEOUT_MS / 1_000} s`),
      ),
    ]);
    server.once("exit", (code) => {
      if (this.#server)
        this.#logger.logLabeled("ERROR", "firestore", `The stand-in exited with code ${code}.`);
    });
  }

  async connect(): Promise<void> {}

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill("SIGTERM");
    const kill = setTimeout(() => server.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(kill);
    this.#cancelCleanUp();
  }

  #fail(what: string): never {
    throw new Error(`The stand-in Firestore ${what}.`);
  }
}
