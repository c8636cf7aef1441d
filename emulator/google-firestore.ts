import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "../scripts/free-ports.mjs";
import { whenGone } from "../scripts/when-gone.mjs";

const MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore";
const READY = "Dev App Server is now running.";
const START_TIMEOUT_MS = 60_000;

/** Google's Firestore emulator, which runs in a process of its own until it is stopped. */
export interface GoogleFirestore {
  /** `host:port`. */
  address: string;
  stop(): Promise<void>;
}

/** Where the Google Cloud SDK and the Firebase CLI put the emulator. */
function findJar(): string | undefined {
  const sdks = [
    process.env["CLOUDSDK_ROOT_DIR"],
    "/usr/lib/google-cloud-sdk",
    join(homedir(), "google-cloud-sdk"),
  ];
  const ofSdk = sdks
    .filter((sdk) => sdk !== undefined)
    .map((sdk) => join(sdk, "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"));
  const cache = process.env["FIREBASE_EMULATORS_PATH"] ?? join(homedir(), ".cache/firebase/emulators");
  const ofCli = (existsSync(cache) ? readdirSync(cache) : [])
    .filter((file) => /^cloud-firestore-emulator-v.*\.jar$/.test(file))
    .map((file) => join(cache, file));
  return [...ofSdk, ...ofCli].find((jar) => existsSync(jar));
}

/** Why Google's emulator cannot run on this machine; undefined if it can. */
export function whyNoGoogleFirestore(): string | undefined {
  if (!findJar()) {
    return "Google's Firestore emulator is not installed (google-cloud-cli-firestore-emulator, or npx firebase setup:emulators:firestore)";
  }
  return spawnSync("java", ["-version"]).status === 0 ? undefined : "Java is not installed";
}

/**
 * Starts Google's Firestore emulator on a free port of 127.0.0.1, and waits until it listens.
 *
 * @throws Error with what it printed when it does not within a minute
 */
export async function startGoogleFirestore(): Promise<GoogleFirestore> {
  const jar = findJar();
  const reason = whyNoGoogleFirestore();
  if (!jar || reason) throw new Error(reason);
  const [port, websocketPort] = await freePorts(2);
  const jvm = ["-Duser.language=en", "-XX:TieredStopAtLevel=1", "-cp", jar, MAIN_CLASS];
  const listen = ["--host", "127.0.0.1", "--port", String(port), "--websocket_port", String(websocketPort)];
  const server = spawn("java", [...jvm, ...listen], { stdio: ["ignore", "pipe", "pipe"] });
  const cancelCleanUp = whenGone('kill -KILL "$1"', [String(server.pid)]);
  const stop = async (): Promise<void> => {
    await end(server);
    cancelCleanUp();
  };
  const printed: string[] = [];
  const ready = new Promise<true>((resolve) => {
    for (const stream of [server.stdout, server.stderr]) {
      createInterface(stream).on("line", (line) => {
        if (line.includes(READY)) resolve(true);
        printed.push(line);
      });
    }
  });
  const isReady = await Promise.race([
    ready,
    once(server, "exit").then(() => false),
    sleep(START_TIMEOUT_MS, false, { ref: false }),
  ]);
  if (isReady) return { address: `127.0.0.1:${port}`, stop };
  await stop();
  throw new Error(`Google's Firestore emulator did not start. It printed:\n${printed.join("\n")}`);
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, "exit");
  server.kill("SIGKILL"); // it has nothing to save, and takes its time for anything gentler
  await exited;
}
