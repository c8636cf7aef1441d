import type { Finding } from "../../functions/src/cli/finding";
import type { ParamValues } from "../../functions/src/config/param-specs";
import { RedisProbe } from "../../functions/src/redis/redis-probe";
import { freePorts } from "../../scripts/free-ports.mjs";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import {
  connect,
  startTarget,
  uniqueId,
  type FirestoreTarget,
} from "../emulator-firestore/firestore-target.ts";
import { runCommand } from "../harness/run-cli.ts";
import { connectCluster, connectMasters, testClusterPorts } from "../harness/test-cluster.ts";
import { uniquePrefix } from "../harness/test-redis.ts";

let target: FirestoreTarget;
let standalone: RedisServer;

beforeAll(async () => {
  target = await startTarget();
  standalone = await startRedis();
});

afterAll(async () => {
  await standalone.stop();
  await target.stop();
});

async function topologyFound(more: ParamValues) {
  const environment: ParamValues = {
    REDIS_HOST: "127.0.0.1",
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
    QUOTA_COLLECTION_PATH: uniqueId(),
    VPC_CONNECTOR: "projects/p/locations/europe-west1/connectors/c",
    ...more,
  };
  const { output, exitCode } = await runCommand(["--json", "doctor"], {
    environment,
    firestore: () => connect(target.address, target.project),
  });
  const findings = JSON.parse(output) as Finding[];
  const failed = findings.filter(({ verdict }) => verdict === "fail").map(({ check }) => check);
  return { exitCode, failed, findings, topology: findings.find(({ check }) => check === "topology") };
}

const clusterPort = () => String(testClusterPorts()[1]);

test("doctor finds a cluster healthy, and asks all of its masters", async () => {
  const { exitCode, failed, findings, topology } = await topologyFound({
    REDIS_PORT: clusterPort(),
    REDIS_TOPOLOGY: "cluster",
  });
  expect(failed).toEqual([]);
  expect(exitCode).toBe(0);
  expect(topology).toMatchObject({ verdict: "pass", found: "cluster of 3 masters" });
  expect(findings.map(({ check }) => check)).toEqual(expect.arrayContaining(["Lua", "clock", "fallback"]));
});

test("doctor tells when REDIS_TOPOLOGY and the server disagree, each way", async () => {
  expect(await topologyFound({ REDIS_PORT: clusterPort() })).toMatchObject({
    exitCode: 1,
    topology: {
      verdict: "fail",
      found: "cluster, while REDIS_TOPOLOGY is standalone",
      todo: "Set REDIS_TOPOLOGY to cluster.",
    },
  });
  expect(
    await topologyFound({ REDIS_PORT: String(standalone.port), REDIS_TOPOLOGY: "cluster" }),
  ).toMatchObject({
    exitCode: 1,
    topology: { verdict: "fail", found: "standalone, while REDIS_TOPOLOGY is cluster" },
  });
});

test("the status is that of all masters together", async () => {
  const { cluster } = connectCluster();
  const masters = connectMasters();
  try {
    const probe = new RedisProbe(cluster);
    await Promise.all(masters.map((master) => master.config("SET", "maxmemory", "100mb")));
    await masters[2]!.config("SET", "maxmemory", "50mb", "maxmemory-policy", "allkeys-lru");
    const status = await probe.status();
    expect(status).toMatchObject({
      reachable: true,
      masters: 3,
      topology: "cluster",
      role: "master",
      connectedReplicas: 1,
      maxMemoryBytes: 250 * 1024 * 1024,
      evictionPolicy: "allkeys-lru",
    });
    const { memoryShare, usedMemoryBytes } = status as Extract<typeof status, { reachable: true }>;
    expect(memoryShare).toBeGreaterThan(usedMemoryBytes / (250 * 1024 * 1024));
    expect(Math.abs(await probe.clockAheadMs())).toBeLessThan(1000);
  } finally {
    await masters[2]!.config("SET", "maxmemory-policy", "noeviction");
    await Promise.all(masters.map((master) => master.config("SET", "maxmemory", "0")));
    for (const master of masters) master.disconnect();
    cluster.close();
  }
});

test("commands of the command line work on a cluster", async () => {
  const environment: ParamValues = {
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: clusterPort(),
    REDIS_TOPOLOGY: "cluster",
    REDIS_TIMEOUT_MS: "2000",
    KEY_PREFIX: uniquePrefix(),
    QUOTA_COLLECTION_PATH: uniqueId(),
    MODE: "redis-primary",
  };
  const collection = target.db.collection(environment.QUOTA_COLLECTION_PATH!);
  const ids = Array.from({ length: 30 }, (_, i) => `p${i}`);
  await Promise.all(ids.map((id) => collection.doc(id).set({ aiCallsUsed: 1, aiCallsLimit: 10 })));
  const run = async (...args: string[]) => {
    const result = await runCommand(["--json", ...args], {
      environment,
      firestore: () => connect(target.address, target.project),
    });
    expect({ args, exitCode: result.exitCode, errors: result.errors }).toMatchObject({ exitCode: 0 });
    return JSON.parse(result.output) as unknown;
  };
  await run("backfill");
  expect(await run("inspect", "p7")).toMatchObject({ redis: { used: 1, limit: 10 } });
  expect(await run("sync")).toMatchObject({ flushed: 0, complete: true });
  expect(await run("reconcile")).toMatchObject({ drifted: 0 });
});

test("a cluster that cannot be reached, or has no slots yet, is a status too", async () => {
  const [busPort] = (await freePorts(1)) as [number];
  const empty = await startRedis({ args: ["--cluster-enabled", "yes", "--cluster-port", String(busPort)] });
  const away = connectCluster(1);
  const unmade = connectCluster(empty.port);
  try {
    expect(await new RedisProbe(away.cluster).status()).toEqual({
      reachable: false,
      error: expect.stringMatching(
        /^Redis at 127\.0\.0\.1:1 \(REDIS_HOST, REDIS_PORT\).*ECONNREFUSED/,
      ) as string,
    });
    expect(await new RedisProbe(unmade.cluster).status()).toEqual({
      reachable: false,
      error: expect.stringContaining("no server has slots") as string,
    });
  } finally {
    away.cluster.close();
    unmade.cluster.close();
    await empty.stop();
  }
});
