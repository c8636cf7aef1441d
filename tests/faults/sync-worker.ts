import { spawn } from "node:child_process";
import { join } from "node:path";

import { whenGone } from "../../scripts/when-gone.mjs";
import { startFaultProxy } from "../harness/fault-proxy.ts";
import { waitFor } from "../harness/wait-for.ts";
import { parseStoredQuota } from "../../functions/dist/quota/stored-quota.js";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

const WORKER = join(import.meta.dirname, "../../bench/lib/sync-worker.ts");
const KILLS = 2;
/** Time for a worker to be killed before its write is made, or before it hears that it was. */
const WRITE_TAKES_MS = 1500;
const LASTS_MS = 300;

/** No other sync runs, and no event ends a flush in the worker's stead. */
const alone = { syncsMeanwhile: false, eventsArrive: false } as const;

interface Worker {
  /** Resolves when it has ended a sync. */
  readonly synced: Promise<unknown>;
  kill(): Promise<void>;
}

/** A process that syncs again and again, with Firestore at an address. */
function startWorker({ redis, collection }: Stage, firestoreAddress: string): Worker {
  const child = spawn(process.execPath, [WORKER, String(redis.port), collection], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, FIRESTORE_EMULATOR_HOST: firestoreAddress },
  });
  let printed = "";
  child.stdout.on("data", (text) => (printed += String(text)));
  const cancelCleanUp = whenGone('kill -KILL "$1"', [String(child.pid)]);
  const synced = waitFor(() => printed.includes("end "), { what: "the worker to sync", timeoutMs: 20_000 });
  // Who is killed never does, and nobody waits for it.
  synced.catch(() => {});
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    synced,
    async kill() {
      child.kill("SIGKILL");
      await exited;
      cancelCleanUp();
    },
  };
}

/** Waits until a flush has begun, or until none is under way. */
async function untilFlushing({ direct, keys, collection }: Stage, expected = true): Promise<void> {
  const ids = (await direct.firestore.collection(collection).listDocuments()).map(({ id }) => id);
  await waitFor(
    async () => {
      const entries = await direct.redis.mgetBuffer(...ids.map((id) => keys.quota(id)));
      return entries.some((entry) => (parseStoredQuota(entry)?.inFlight ?? 0) !== 0) === expected;
    },
    { what: expected ? "a flush to begin" : "all flushes to end" },
  );
}

/** Usage that all documents hold. */
async function usedIn({ direct, collection }: Stage): Promise<number> {
  const { docs } = await direct.firestore.collection(collection).get();
  return docs.reduce((sum, document) => sum + Number(document.get("aiCallsUsed")), 0);
}

const killedAmidFlush = (at: "request" | "answer"): Scenario => ({
  name: `The sync worker is killed ${at === "request" ? "before its write" : "between its write and its end"}`,
  mode: "redis-primary",
  ...alone,
  lastsMs: LASTS_MS,
  answeredBy: ["redis"],
  async begin(stage) {
    for (let kills = 0; kills < KILLS; kills++) {
      await stage.firestoreCalls.set({ delayMs: WRITE_TAKES_MS, at, methods: ["BatchWrite"] });
      const used = await usedIn(stage);
      const worker = startWorker(stage, stage.firestoreProcess.address);
      await untilFlushing(stage);
      if (at === "answer") await waitFor(async () => (await usedIn(stage)) > used, { what: "the write" });
      await worker.kill();
      await stage.firestoreCalls.clear();
      await stage.instances[0]!.quotaSync.flushAll({ deadlineMs: Date.now() + 10_000 });
    }
  },
  end: () => undefined,
});

/** What brings usage to Firestore dies, or sleeps, with a flush begun and not ended. */
export const syncWorkerScenarios: readonly Scenario[] = [
  killedAmidFlush("request"),
  killedAmidFlush("answer"),
  {
    name: "A sync worker's write is made after another has ended its flush",
    mode: "redis-primary",
    ...alone,
    lastsMs: LASTS_MS,
    answeredBy: ["redis"],
    async begin(stage) {
      const proxy = await startFaultProxy(Number(stage.firestoreProcess.address.split(":")[1]));
      proxy.set({ requests: "stall" });
      const worker = startWorker(stage, `127.0.0.1:${proxy.port}`);
      await untilFlushing(stage);
      await stage.instances[0]!.quotaSync.flushAll({ deadlineMs: Date.now() + 10_000 });
      await untilFlushing(stage, false);
      proxy.heal();
      await worker.synced;
      await worker.kill();
      proxy.close();
    },
    end: () => undefined,
  },
];
