import { Redis } from "ioredis";

import { RedisCluster } from "../../functions/src/redis/cluster";
import { recordLogs } from "./recorded-logs.ts";

/** The ports of the masters of the cluster that all tests of the `cluster` project share. */
export function testClusterPorts(): readonly number[] {
  const ports = process.env["FRQ_TEST_CLUSTER_PORTS"];
  if (!ports) throw new Error("Only tests in tests/cluster have a Redis Cluster.");
  return JSON.parse(ports) as number[];
}

/** The product's connection to a cluster, with what it logs. The test closes it. */
export function connectCluster(port = testClusterPorts()[0]!, timeoutMs = 2000) {
  const recorded = recordLogs();
  return {
    cluster: new RedisCluster({ host: "127.0.0.1", port, timeoutMs }, recorded.logs),
    recorded,
  };
}

/** Clients of the single masters of the shared cluster. The test closes them. */
export function connectMasters(): readonly Redis[] {
  return testClusterPorts().map((port) => new Redis({ host: "127.0.0.1", port }));
}
