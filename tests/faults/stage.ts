import { Firestore } from "@google-cloud/firestore";
import { Redis } from "ioredis";

import { CallControls } from "../../emulator/firestore/controls.ts";
import { startFirestore, useFirestore, type FirestoreProcess } from "../../bench/lib/firestore-process.ts";
import { parseServiceConfig } from "../../functions/dist/config/config.js";
import { createLogs } from "../../functions/dist/observability/logs.js";
import { createServices, type Services } from "../../functions/dist/services.js";
import type { QuotaMode } from "../../functions/dist/quota/quota-service.js";
import { Keys } from "../../functions/dist/redis/keys.js";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { startFaultProxy, type FaultProxy } from "../harness/fault-proxy.ts";
import { POLICIES } from "./rate-limit-tally.ts";

/** What callers may wait for Redis. Longer than the default, as two cores have all of this to run. */
export const REDIS_TIMEOUT_MS = 250;

const INSTANCES = 2;
/** As the processes of bench/lib have them. */
const PROJECT = "demo-bench";
const KEY_PREFIX = "frq";

export interface StageOptions {
  readonly mode: QuotaMode;
  readonly redisArgs?: readonly string[];
  /** Whether Redis is reached without the proxy, so that a server that has gone refuses connections. */
  readonly withoutProxy?: boolean;
  /** How far Firestore's clock is ahead of Redis's. */
  readonly firestoreAheadMs?: number;
}

/** Everything that a fault can befall, and instances of the product in front of it. */
export interface Stage {
  readonly redis: RedisServer;
  /** Before Redis, and before Firestore; both are faithful until told otherwise. */
  readonly redisProxy: FaultProxy;
  readonly firestoreProxy: FaultProxy;
  readonly firestoreProcess: FirestoreProcess;
  readonly firestoreCalls: CallControls;
  readonly instances: readonly Services[];
  /** Clients that no fault's proxy is in front of. */
  readonly direct: { readonly redis: Redis; readonly firestore: Firestore };
  readonly collection: string;
  readonly keys: Keys;
  /** The product's log entries, by their event. */
  readonly logged: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

let shared: FirestoreProcess | undefined;
let stages = 0;

/** Starts a stage with a Redis server, proxies and a collection of its own; Firestore's process is the same for all. */
export async function startStage({
  mode,
  redisArgs = [],
  withoutProxy = false,
  firestoreAheadMs = 0,
}: StageOptions): Promise<Stage> {
  const firestoreProcess =
    firestoreAheadMs === 0
      ? (shared ??= await startFirestore())
      : await startFirestore({ aheadMs: firestoreAheadMs });
  const firestorePort = Number(firestoreProcess.address.split(":")[1]);
  const [redis, firestoreProxy] = await Promise.all([
    startRedis({ args: [...redisArgs] }),
    startFaultProxy(firestorePort),
  ]);
  const redisProxy = await startFaultProxy(redis.port);
  const collection = `providers-${stages++}`;
  const logged = new Map<string, number>();
  const logs = createLogs(({ event }) => void logged.set(event, (logged.get(event) ?? 0) + 1));
  const config = parseServiceConfig({
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(withoutProxy ? redis.port : redisProxy.port),
    REDIS_TIMEOUT_MS: String(REDIS_TIMEOUT_MS),
    KEY_PREFIX,
    MODE: mode,
    QUOTA_COLLECTION_PATH: collection,
    SESSION_COLLECTION_PATH: `${collection}-sessions`,
    RATE_LIMIT_POLICIES: JSON.stringify(POLICIES),
  });
  const connect = (address: string): Firestore => {
    useFirestore(address);
    return new Firestore({ projectId: PROJECT });
  };
  const instances = Array.from({ length: INSTANCES }, () => {
    const firestore = connect(`127.0.0.1:${firestoreProxy.port}`);
    return createServices(config, () => firestore, logs);
  });
  const direct = {
    redis: new Redis({ port: redis.port }).on("error", () => {}),
    firestore: connect(firestoreProcess.address),
  };
  return {
    redis,
    redisProxy,
    firestoreProxy,
    firestoreProcess,
    firestoreCalls: new CallControls(firestoreProcess.address),
    instances,
    direct,
    collection,
    keys: new Keys(KEY_PREFIX),
    logged,
    async close() {
      for (const instance of instances) instance.close();
      direct.redis.disconnect();
      redisProxy.close();
      firestoreProxy.close();
      // Firestore's clients stay: a call that was given up is still retried, and one that has been terminated throws then.
      if (firestoreProcess !== shared) firestoreProcess.stop();
      await redis.stop();
    },
  };
}

/** Ends what the stages have in common. */
export function stopShared(): void {
  shared?.stop();
}
