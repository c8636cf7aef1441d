/**
 * What does a Redis Cluster cost, or give, in throughput?
 *
 *   npm run bench -- cluster [--json]
 *
 * - limit@N: how many times the decisions per second (fixed-window, 1,000 subjects) do N callers get on a cluster of 3
 *   masters than on one server, each asking again once it is answered?
 * - quota@N, consume@N: the same for quota checks, and for consumptions in redis-primary (1,000 providers).
 *
 * One process asks, over one connection to each master; all servers are on this machine and share its processors, so
 * that the figures are of what splitting batches costs, and not of what more machines give.
 */
import { parseArgs } from "node:util";
import { createLogs } from "../functions/dist/observability/logs.js";
import { RedisQuotaStore } from "../functions/dist/quota/redis-quota-store.js";
import { checkPolicies } from "../functions/dist/rate-limit/policy.js";
import { RedisRateLimitStore } from "../functions/dist/rate-limit/redis-rate-limit-store.js";
import { RedisCluster } from "../functions/dist/redis/cluster.js";
import { RedisConnection } from "../functions/dist/redis/connection.js";
import { Keys } from "../functions/dist/redis/keys.js";
import { startRedis } from "../scripts/redis-server.mjs";
import { startCluster } from "../tests/harness/redis-cluster.ts";
import { ComparisonTable } from "./lib/comparison.ts";
import { describeMachine } from "./lib/machine.ts";
import { callsPerSecond } from "./lib/measure.ts";

const { values: options } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const CALLERS = [1, 64, 256, 1024] as const;
const MS_PER_TURN = 150;
const IDS = Array.from({ length: 1000 }, (_, i) => `id-${i}`);
const LIMIT = 10_000_000;

const [policy] = checkPolicies([
  { name: "p", by: "uid", limits: [{ algorithm: "fixed-window", limit: LIMIT, window: "24 h" }] },
]);
const keys = new Keys("frq");
const logs = createLogs((entry) => console.error(entry.message));

async function storesOn(servers: RedisCluster | RedisConnection) {
  const quotas = new RedisQuotaStore(servers, keys, { ttlSeconds: 3600, missingLimit: 100 });
  const snapshot = {
    quota: { used: 0, limit: LIMIT },
    version: 1,
    asOfMs: Date.now(),
    marker: 0,
    created: 0,
  };
  for (const id of IDS) await quotas.apply(id, snapshot);
  const limits = new RedisRateLimitStore(servers, keys);
  let i = 0;
  const next = () => IDS[i++ % IDS.length]!;
  return {
    limit: () => limits.take(policy!.limits, next(), { cost: 1, peek: false }),
    quota: () => quotas.read(next()),
    consume: () => quotas.consume({ providerId: next(), cost: 1 }),
  };
}

const single = await startRedis();
const cluster = await startCluster();
const timeoutMs = 2000;
const toSingle = new RedisConnection({ host: "127.0.0.1", port: single.port, timeoutMs }, logs);
const toCluster = new RedisCluster(
  { host: "127.0.0.1", port: cluster.masters[0]!.server.port, timeoutMs },
  logs,
);
try {
  console.log(`${describeMachine()}\n"this" is the cluster of 3 masters, "peer" one server\n`);
  const [ours, theirs] = [await storesOn(toCluster), await storesOn(toSingle)];
  const table = new ComparisonTable({ runs: 5, turns: 4 });
  table.printHeader();
  for (const what of ["limit", "quota", "consume"] as const)
    for (const callers of CALLERS)
      await table.compare(
        { name: `${what}@${callers}`, unit: "calls/s" },
        {
          ours: async () => [await callsPerSecond(callers, MS_PER_TURN, ours[what])],
          theirs: async () => [await callsPerSecond(callers, MS_PER_TURN, theirs[what])],
        },
      );
  if (options.json) console.log(JSON.stringify(table.ratios));
} finally {
  toSingle.close();
  toCluster.close();
  await Promise.all([single.stop(), cluster.stop()]);
}
