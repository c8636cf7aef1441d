import { createLogs } from "../../functions/dist/observability/logs.js";
import { FirestoreQuotaStore } from "../../functions/dist/quota/firestore-quota-store.js";
import { QuotaService } from "../../functions/dist/quota/quota-service.js";
import { RedisQuotaStore } from "../../functions/dist/quota/redis-quota-store.js";
import { RedisConnection } from "../../functions/dist/redis/connection.js";
import { summarize } from "../latency.ts";
import { forgetQuotas, quotasInFirestore } from "../quotas.ts";
import type { Report } from "../report.ts";
import { DEFAULT_LIMIT, type Stack } from "../stack.ts";

const TTL_SECONDS = 300;
const TIMEOUT_MS = 100;

/** Measures the check itself, in this process: what a function pays for it, without HTTP and the emulator around it. */
export async function checkInProcess(stack: Stack, report: Report): Promise<void> {
  report.note(
    "QuotaService.check of the built package, called in this process one after another, without HTTP.",
  );
  const ids = [...(await quotasInFirestore(stack)).keys()];
  const logs = createLogs(() => {});
  const connection = new RedisConnection(
    { host: "127.0.0.1", port: stack.redisServer.port, timeoutMs: TIMEOUT_MS },
    logs,
  );
  const service = createService(stack, connection, logs);
  try {
    await service.check(ids[0]!); // connects
    const byRedis = await timeChecks(service, ids, "redis");
    report.latency("check in process, by Redis", byRedis);
    await forgetQuotas(stack, ids);
    const byFirestore = await timeChecks(service, ids, "firestore");
    report.latency("check in process, by Firestore", byFirestore);
    report.note(
      "Firestore is an emulator on this machine here; in production a read takes tens of milliseconds.",
    );
    const { p50 } = summarize(byRedis);
    report.expect("check in process, by Redis", {
      expected: `${ids.length}, p50 at most 2 ms`,
      measured: `${byRedis.length}, p50 ${p50.toFixed(2)} ms`,
      holds: byRedis.length === ids.length && p50 <= 2,
    });
  } finally {
    connection.close();
  }
}

function createService(
  { providers, keys }: Stack,
  connection: RedisConnection,
  logs: ReturnType<typeof createLogs>,
): QuotaService {
  const fields = { usedField: "aiCallsUsed", limitField: "aiCallsLimit", defaultLimit: DEFAULT_LIMIT };
  return new QuotaService(
    new RedisQuotaStore(connection, keys, TTL_SECONDS),
    new FirestoreQuotaStore(providers.firestore, providers.path, fields),
    { missingProvider: "default-limit", defaultLimit: DEFAULT_LIMIT },
    logs,
  );
}

/** The durations of those checks that this source answered. */
async function timeChecks(
  service: QuotaService,
  ids: readonly string[],
  source: "redis" | "firestore",
): Promise<number[]> {
  const durationsMs: number[] = [];
  for (const id of ids) {
    const startedAt = performance.now();
    const check = await service.check(id);
    if (check.source === source) durationsMs.push(performance.now() - startedAt);
  }
  return durationsMs;
}
