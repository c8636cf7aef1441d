import { Redis } from "ioredis";

import { freePorts } from "../../scripts/free-ports.mjs";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { waitFor } from "./wait-for.ts";

const MASTERS = 3;
const SLOTS = 16_384;

export interface ClusterNode {
  readonly server: RedisServer;
  /** A client of that server alone. */
  readonly direct: Redis;
  readonly id: string;
}

/** A Redis Cluster of three masters, each with a replica, as it was when it was made. */
export interface TestCluster {
  readonly masters: readonly ClusterNode[];
  /** The replica of the master at the same index. */
  readonly replicas: readonly ClusterNode[];
  /** The index of the master that a slot was given to. */
  indexOf(slot: number): number;
  /** Moves a slot, with its keys, as `redis-cli --cluster reshard` does. */
  moveSlot(slot: number, from: ClusterNode, to: ClusterNode): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param options.argsOf more settings of each of the six servers
 * @param options.nodeTimeoutMs how long a master is silent before the others take it for dead; by default as long as Redis does
 * @param options.password what `direct` clients show
 */
export async function startCluster({
  argsOf = () => [],
  nodeTimeoutMs = 15_000,
  password,
}: {
  argsOf?: (node: number) => readonly string[];
  nodeTimeoutMs?: number;
  password?: string;
} = {}): Promise<TestCluster> {
  const ports = await freePorts(4 * MASTERS);
  const nodes = await Promise.all(
    Array.from({ length: 2 * MASTERS }, (_, i) =>
      startNode(
        ports[2 * i]!,
        ports[2 * i + 1]!,
        ["--cluster-node-timeout", String(nodeTimeoutMs), ...argsOf(i)],
        password,
      ),
    ),
  );
  const masters = nodes.slice(0, MASTERS);
  const replicas = nodes.slice(MASTERS);
  const firstSlot = (i: number) => Math.ceil((i * SLOTS) / MASTERS);
  await Promise.all(nodes.map(({ direct }, i) => direct.call("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1))));
  await Promise.all(
    masters.map(({ direct }, i) =>
      direct.call("CLUSTER", "ADDSLOTSRANGE", firstSlot(i), firstSlot(i + 1) - 1),
    ),
  );
  for (const [i, { server }] of nodes.slice(1).entries())
    await masters[0]!.direct.call("CLUSTER", "MEET", "127.0.0.1", server.port, ports[2 * (i + 1) + 1]!);
  const knows = async ({ direct }: ClusterNode, count: number) =>
    infoOf(await clusterInfo(direct), "cluster_known_nodes") === String(count);
  await waitFor(
    async () => (await Promise.all(nodes.map((node) => knows(node, nodes.length)))).every(Boolean),
    {
      what: "the nodes to know each other",
    },
  );
  await Promise.all(
    replicas.map(({ direct }, i) =>
      waitFor(() => direct.cluster("REPLICATE", masters[i]!.id), { what: "a replica" }),
    ),
  );
  await waitFor(
    async () => (await Promise.all([...nodes.map(isOk), ...replicas.map(isSynced)])).every(Boolean),
    {
      what: "the cluster to be ready",
      timeoutMs: 20_000,
    },
  );
  return {
    masters,
    replicas,
    indexOf: (slot) => Math.floor((slot * MASTERS) / SLOTS),
    moveSlot: (slot, from, to) => moveSlot(masters, slot, from, to),
    async stop() {
      for (const { direct } of nodes) direct.disconnect();
      await Promise.all(nodes.map(({ server }) => server.stop()));
    },
  };
}

async function startNode(
  port: number,
  busPort: number,
  args: readonly string[],
  password: string | undefined,
): Promise<ClusterNode> {
  const settings = [
    ...["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"],
    ...["--cluster-port", String(busPort)],
    // The other masters go on serving while one is down; and a replica does not wait for others to be synced with.
    ...["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"],
    ...["--cluster-allow-replica-migration", "no", "--cluster-replica-validity-factor", "0"],
    ...args,
  ];
  const server = await startRedis({ port, args: settings });
  const direct = new Redis({
    host: "127.0.0.1",
    port,
    disconnectTimeout: 200,
    ...(password && { password }),
  });
  direct.on("error", () => {}); // tests kill servers
  return { server, direct, id: (await direct.cluster("MYID")) as string };
}

async function clusterInfo(direct: Redis): Promise<string> {
  return (await direct.cluster("INFO")) as string;
}

function infoOf(info: string, field: string): string | undefined {
  return new RegExp(`^${field}:(.*?)\\r?$`, "m").exec(info)?.[1];
}

async function isOk({ direct }: ClusterNode): Promise<boolean> {
  const info = await clusterInfo(direct);
  return infoOf(info, "cluster_state") === "ok" && infoOf(info, "cluster_slots_assigned") === String(SLOTS);
}

async function isSynced({ direct }: ClusterNode): Promise<boolean> {
  return infoOf(await direct.info("replication"), "master_link_status") === "up";
}

/** Whether a node is a master by now. */
export async function isMaster({ direct }: ClusterNode): Promise<boolean> {
  return infoOf(await direct.info("replication"), "role") === "master";
}

const KEYS_AT_ONCE = 20;
const MIGRATE_TIMEOUT_MS = 5000;

async function moveSlot(
  masters: readonly ClusterNode[],
  slot: number,
  from: ClusterNode,
  to: ClusterNode,
): Promise<void> {
  await to.direct.cluster("SETSLOT", slot, "IMPORTING", from.id);
  await from.direct.cluster("SETSLOT", slot, "MIGRATING", to.id);
  for (;;) {
    const keys = (await from.direct.cluster("GETKEYSINSLOT", slot, KEYS_AT_ONCE)) as string[];
    if (keys.length === 0) break;
    await from.direct.call(
      ...["MIGRATE", "127.0.0.1", String(to.server.port), "", "0", String(MIGRATE_TIMEOUT_MS)],
      ...["KEYS", ...keys],
    );
  }
  for (const { direct } of [to, from, ...masters.filter((each) => each !== to && each !== from)])
    await direct.cluster("SETSLOT", slot, "NODE", to.id);
}
