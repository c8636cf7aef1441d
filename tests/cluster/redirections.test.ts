import type { RedisCluster } from "../../functions/src/redis/cluster";
import { RedisUnavailableError } from "../../functions/src/redis/connection";
import { Keys, slotOf } from "../../functions/src/redis/keys";
import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import { SLACK_MS } from "../harness/patience.ts";
import { startCluster, type ClusterNode, type TestCluster } from "../harness/redis-cluster.ts";
import { connectCluster } from "../harness/test-cluster.ts";
import { uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

/** Short, where a test waits for its end. */
const TIMEOUT_MS = 200;

let servers: TestCluster;
let cluster: RedisCluster;
let store: RedisQuotaStore;
let hasty: RedisCluster;
let hastyStore: RedisQuotaStore;
let key: string;
let from: ClusterNode;
let to: ClusterNode;

beforeAll(async () => {
  servers = await startCluster();
}, 30_000);

afterAll(() => servers.stop());

beforeEach(async () => {
  const { port } = servers.masters[0]!.server;
  ({ cluster } = connectCluster(port));
  ({ cluster: hasty } = connectCluster(port, TIMEOUT_MS));
  const keys = new Keys(uniquePrefix());
  const options = { ttlSeconds: 300, missingLimit: 100 };
  store = new RedisQuotaStore(cluster, keys, options);
  hastyStore = new RedisQuotaStore(hasty, keys, options);
  key = keys.quota("p1");
  for (const id of ["p1", "p2"]) await store.apply(id, snapshot(0));
});

afterEach(() => {
  cluster.close();
  hasty.close();
});

const snapshot = (used: number) => ({
  quota: { used, limit: 100 },
  version: 1,
  asOfMs: Date.now(),
  marker: 0,
  created: 0,
});

/** Begins to move the slot of `key`, and moves that key alone. */
async function beginMove(): Promise<void> {
  const slot = slotOf(key);
  // A test before may have moved it.
  const owns = async ({ direct }: ClusterNode) =>
    ((await direct.cluster("COUNTKEYSINSLOT", slot)) as number) > 0;
  const owners = await Promise.all(servers.masters.map(owns));
  from = servers.masters[owners.indexOf(true)]!;
  to = servers.masters.find((master) => master !== from)!;
  await to.direct.cluster("SETSLOT", slot, "IMPORTING", from.id);
  await from.direct.cluster("SETSLOT", slot, "MIGRATING", to.id);
  await from.direct.call("MIGRATE", "127.0.0.1", String(to.server.port), key, "0", "5000");
}

const endMove = () => servers.moveSlot(slotOf(key), from, to);

async function failure(operation: Promise<unknown>): Promise<RedisUnavailableError> {
  const startedMs = performance.now();
  const error: unknown = await operation.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RedisUnavailableError);
  expect(performance.now() - startedMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
  return error as RedisUnavailableError;
}

test("a key that is at its new master already is asked for there (ASK), and after the move too (MOVED)", async () => {
  await beginMove();
  expect(await store.read("p1")).toEqual({ kind: "snapshot", quota: { used: 0, limit: 100 } });
  expect(await to.direct.info("commandstats")).toContain("cmdstat_asking");
  await endMove();
  expect(await store.read("p1")).toMatchObject({ kind: "snapshot" });
  expect(await store.consume({ providerId: "p1", cost: 2 })).toMatchObject({ kind: "accepted", used: 2 });
});

test("a command whose keys are on both masters (TRYAGAIN) ends in time, without effect, and works after the move", async () => {
  await waitFor(() => hastyStore.read("p1"), { what: "a connection" });
  await beginMove();
  const error = await failure(hastyStore.consume({ providerId: "p1", cost: 1 }));
  expect(error.outcome).toBe("not-executed");
  expect(error.message).toContain("TRYAGAIN");
  await endMove();
  expect(await store.consume({ providerId: "p1", cost: 1 })).toMatchObject({ kind: "accepted", used: 1 });
});

test("a command whose reply comes too late was sent once", async () => {
  const slow = `redis.call("INCR", KEYS[1])
    local function now() local time = redis.call("TIME") return time[1] * 1000 + time[2] / 1000 end
    local started = now()
    while now() - started < ${2 * TIMEOUT_MS} do end
    return 1`;
  await waitFor(() => hastyStore.read("p1"), { what: "a connection" });
  const error = await failure(hasty.runFor("{counter}", (redis) => redis.eval(slow, 1, "{counter}")));
  expect(error.outcome).toBe("unknown");
  const { direct } = servers.masters[servers.indexOf(slotOf("{counter}"))]!;
  expect(await direct.get("{counter}")).toBe("1");
});

test("a cluster that is closed stays closed", async () => {
  cluster.close();
  await expect(store.read("p2")).rejects.toMatchObject({
    name: "RedisUnavailableError",
    outcome: "not-executed",
    cause: { message: "the connection was closed" },
  });
});
