import { startCluster } from "./redis-cluster.ts";
import { stopAtTeardown } from "./started.ts";

/** Starts the one Redis Cluster that the tests of tests/cluster share; those that break one start their own. */
export default async function setUp(): Promise<void> {
  const cluster = await startCluster();
  stopAtTeardown("cluster", cluster);
  process.env["FRQ_TEST_CLUSTER_PORTS"] = JSON.stringify(cluster.masters.map(({ server }) => server.port));
}
