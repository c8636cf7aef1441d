import { setTimeout as sleep } from "node:timers/promises";

import type { Redis } from "ioredis";

import { RedisQuotaStore } from "../../functions/src/quota/redis-quota-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { consumeOne, startLoad, total } from "../harness/cluster-load.ts";
import { SLACK_MS } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { startFaultProxy, type FaultProxy } from "../harness/fault-proxy.ts";
import { connectRedis } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const TIMEOUT_MS = 200;
/** At most, until the replica is promoted. */
const PAUSE_MS = 5000;
const CALLERS = 16;
const IDS = Array.from({ length: 20 }, (_, i) => `p${i}`);

let primary: RedisServer;
let replica: RedisServer;
let ofPrimary: Redis;
let ofReplica: Redis;
let address: FaultProxy;
let connection: RedisConnection;
let store: RedisQuotaStore;

beforeEach(async () => {
  primary = await startRedis({ args: ["--repl-diskless-sync-delay", "0"] });
  replica = await startRedis({ args: ["--replicaof", "127.0.0.1", String(primary.port)] });
  [ofPrimary, ofReplica] = [connectRedis(primary.port), connectRedis(replica.port)];
  for (const client of [ofPrimary, ofReplica]) client.on("error", () => {}); // one server is killed
  address = await startFaultProxy(primary.port);
  const { logs } = recordLogs();
  connection = new RedisConnection({ host: "127.0.0.1", port: address.port, timeoutMs: TIMEOUT_MS }, logs);
  store = new RedisQuotaStore(connection, new Keys("test"), { ttlSeconds: 300, missingLimit: 100 });
  const snapshot = {
    quota: { used: 0, limit: 1_000_000 },
    version: 1,
    asOfMs: Date.now(),
    marker: 0,
    created: 0,
  };
  for (const id of IDS) await waitFor(() => store.apply(id, snapshot), { what: "the entry" });
  // Only now is it sure that the primary sends its changes.
  await waitFor(async () => (await ofReplica.dbsize()) === IDS.length, { what: "the replica to have all" });
});

afterEach(async () => {
  connection.close();
  address.close();
  for (const client of [ofPrimary, ofReplica]) client.disconnect();
  await Promise.all([primary.stop(), replica.stop()]);
});

const offsetOf = async (client: Redis) =>
  Number(/^(?:slave|master)_repl_offset:(\d+)/m.exec(await client.info("replication"))![1]);

/**
 * Consumes, has the replica promoted meanwhile, and goes on until it is the one that answers.
 *
 * @param promote is given how many consumptions are accepted so far
 */
async function underLoad(how: string, promote: (accepted: () => number) => Promise<unknown>) {
  const load = startLoad(IDS, CALLERS, consumeOne(store));
  const accepted = () => total(load.tallies.values(), "accepted");
  await waitFor(() => accepted() > 500, { what: "consumptions" });
  const startedMs = performance.now();
  await promote(accepted);
  const writes = async () =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await ofReplica.info("commandstats"))?.[1]);
  await waitFor(async () => (await writes()) > 100, { what: "the promoted replica to be asked" });
  const after = accepted();
  await waitFor(() => accepted() > after + 500, { what: "consumptions after the promotion" });
  await load.stop();
  const tallies = [...load.tallies.values()];
  const lastFailureMs = Math.max(...tallies.map((tally) => tally.lastFailureMs));
  let lost = 0;
  for (const id of IDS) {
    const entry = await waitFor(() => store.read(id), { what: "the entry" });
    const used = entry.kind === "snapshot" ? entry.quota.used : -1;
    const tally = load.tallies.get(id)!;
    expect(used).toBeLessThanOrEqual(tally.accepted + tally.unknown);
    expect(tally.slowestMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
    lost += Math.max(0, tally.accepted - used);
  }
  process.stdout.write(
    `promotion, ${how}: ${Math.max(0, lastFailureMs - startedMs).toFixed(0)} ms to recover; ${total(tallies, "accepted")} accepted, ` +
      `${lost} lost, ${total(tallies, "failed")} not executed, ${total(tallies, "unknown")} unknown\n`,
  );
  return { lost };
}

test("a replica promoted by hand behind the same address, under load, loses nothing; the connection goes on by itself", async () => {
  const { lost } = await underLoad("by hand", async () => {
    await ofPrimary.call("CLIENT", "PAUSE", PAUSE_MS, "WRITE");
    await waitFor(async () => (await offsetOf(ofReplica)) === (await offsetOf(ofPrimary)), {
      what: "the replica to have all",
    });
    await ofReplica.replicaof("NO", "ONE");
    address.switchTo(replica.port);
    await ofPrimary.replicaof("127.0.0.1", replica.port);
    await ofPrimary.call("CLIENT", "UNPAUSE");
  });
  expect(lost).toBe(0);
  // The connection to the old primary was there still, and told by it.
  expect(await ofPrimary.info("errorstats")).toContain("errorstat_READONLY");
}, 30_000);

test.each([
  { how: "killed", cutOffMs: 0 },
  { how: "killed after its replica was cut off", cutOffMs: 200 },
])(
  "a primary $how under load, and its replica promoted behind the same address: what the replica had is kept",
  async ({ how, cutOffMs }) => {
    let atRisk = 0;
    const { lost } = await underLoad(how, async (accepted) => {
      const before = accepted();
      const beforeMs = performance.now();
      const offset = await offsetOf(ofPrimary);
      await waitFor(async () => (await offsetOf(ofReplica)) >= offset, {
        what: "the replica to have all until now",
      });
      if (cutOffMs > 0) {
        // A password that the primary does not know keeps the replica from coming back.
        await ofReplica.config("SET", "masterauth", "wrong");
        await ofPrimary.call("CLIENT", "KILL", "TYPE", "replica");
        await sleep(cutOffMs);
      }
      await primary.kill();
      atRisk = accepted() - before;
      process.stdout.write(
        `promotion, ${how}: ${atRisk} accepted in the last ${(performance.now() - beforeMs).toFixed(0)} ms\n`,
      );
      address.switchTo(replica.port);
      await ofReplica.replicaof("NO", "ONE");
    });
    // Each caller may have been about to read the answer to one more.
    expect(lost).toBeLessThanOrEqual(atRisk + CALLERS);
    if (cutOffMs > 0) expect(lost).toBeGreaterThan(0);
  },
  30_000,
);
