import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import { Keys, slotOf } from "../../functions/src/redis/keys";
import { consumeOne, startLoad, takeOne, total } from "../harness/cluster-load.ts";
import { startCluster, type TestCluster } from "../harness/redis-cluster.ts";
import { connectCluster } from "../harness/test-cluster.ts";
import { uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const IDS = Array.from({ length: 60 }, (_, i) => `p${i}`);
const LIMIT = 60;
/** Entries besides, so that moving a bucket takes a while. */
const IDLE = Array.from({ length: 4000 }, (_, i) => `idle-${i}`);

let servers: TestCluster;

beforeAll(async () => {
  servers = await startCluster();
}, 30_000);

afterAll(() => servers.stop());

test("while buckets are moved to other masters under load, every answer is right and counted once", async () => {
  const { cluster } = connectCluster(servers.masters[0]!.server.port);
  const keys = new Keys(uniquePrefix());
  const quotas = new RedisQuotaStore(cluster, keys, { ttlSeconds: 300, missingLimit: 100 });
  const snapshot = { version: 1, asOfMs: Date.now(), marker: 0, created: 0 };
  for (const id of [...IDS, ...IDLE])
    await quotas.apply(id, { ...snapshot, quota: { used: 0, limit: 1_000_000 } });
  const limits = startLoad(IDS, 16, takeOne(new RedisRateLimitStore(cluster, keys), LIMIT));
  const consumptions = startLoad(IDS, 16, consumeOne(quotas));
  const moved = new Set<number>();
  for (const id of IDS) {
    const slot = slotOf(keys.quota(id));
    const from = servers.indexOf(slot);
    if (moved.has(slot) || moved.size === 8) continue;
    moved.add(slot);
    await servers.moveSlot(slot, servers.masters[from]!, servers.masters[(from + 1) % 3]!);
  }
  const answered = () => total(consumptions.tallies.values(), "accepted");
  const atTheEnd = answered();
  await waitFor(() => answered() > atTheEnd + 500, { what: "consumptions after the move" });
  // Whoever asks often enough reaches the limit.
  await waitFor(() => [...limits.tallies.values()].every(({ refused }) => refused > 0), { what: "refusals" });
  await Promise.all([limits.stop(), consumptions.stop()]);

  for (const [id, { accepted, unknown }] of limits.tallies) {
    expect({ id, atMost: accepted <= LIMIT, atLeast: accepted + unknown >= LIMIT }).toEqual({
      id,
      atMost: true,
      atLeast: true,
    });
  }
  for (const [id, { accepted, unknown }] of consumptions.tallies) {
    const entry = await quotas.read(id);
    const used = entry.kind === "snapshot" ? entry.quota.used : -1;
    expect(used).toBeGreaterThanOrEqual(accepted);
    expect(used).toBeLessThanOrEqual(accepted + unknown);
  }
  const errors = (await Promise.all(servers.masters.map(({ direct }) => direct.info("errorstats")))).join(
    "\n",
  );
  process.stdout.write(
    `resharding: ${moved.size} buckets moved; consumptions ${answered()} accepted, ` +
      `${total(consumptions.tallies.values(), "failed")} failed, ${total(consumptions.tallies.values(), "unknown")} unknown; ` +
      `${errors.match(/errorstat_(MOVED|ASK|TRYAGAIN):count=\d+/g)?.join(", ")}\n`,
  );
  // The move was seen, from all sides.
  for (const redirection of ["MOVED", "ASK", "TRYAGAIN"])
    expect(errors).toContain(`errorstat_${redirection}:`);
  expect(errors).not.toContain("CROSSSLOT");
  cluster.close();
}, 60_000);
