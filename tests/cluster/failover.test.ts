import { setTimeout as sleep } from "node:timers/promises";

import { checkPolicies } from "../../functions/src/rate-limit/policy";
import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { RateLimiter } from "../../functions/src/rate-limit/rate-limiter";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisUnavailableError } from "../../functions/src/redis/connection";
import { slotOf } from "../../functions/src/redis/keys";
import { RedisProbe } from "../../functions/src/redis/redis-probe";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { consumeOne, startLoad, total, type Tally } from "../harness/cluster-load.ts";
import { SLACK_MS } from "../harness/patience.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { isMaster, startCluster, type TestCluster } from "../harness/redis-cluster.ts";
import { connectCluster } from "../harness/test-cluster.ts";
import { waitFor } from "../harness/wait-for.ts";

const TIMEOUT_MS = 200;
/** Soon, yet longer than a busy machine keeps a Redis from answering. */
const NODE_TIMEOUT_MS = 2000;
const VICTIM = 1;
const IDS = Array.from({ length: 48 }, (_, i) => `p${i}`);

let target: FirestoreTarget;
let servers: TestCluster;

beforeAll(async () => {
  target = await startTarget();
});

afterAll(() => target.stop());

beforeEach(async () => {
  servers = await startCluster({ nodeTimeoutMs: NODE_TIMEOUT_MS });
}, 30_000);

afterEach(() => servers.stop());

const limiterOn = (store: RedisRateLimitStore) => {
  const limits = [{ algorithm: "fixed-window" as const, limit: 1_000_000, window: "24 h" }];
  const policies = new Map([
    ["p", checkPolicies([{ name: "p", by: "uid", limits, onRedisFailure: "local" }])[0]!],
  ]);
  const { logs, metrics } = recordLogs();
  return new RateLimiter({ policies: () => policies }, store, new LocalRateLimitStore(), logs, metrics);
};

/** How long an answer by the one or the other took at most. */
interface Answers {
  count: number;
  slowestMs: number;
}

test.each([
  { how: "killed", signal: "SIGKILL", cutOffMs: 0 },
  { how: "stopped", signal: "SIGSTOP", cutOffMs: 0 },
  { how: "killed after its replica was cut off", signal: "SIGKILL", cutOffMs: 200 },
] as const)(
  "a master $how under load: others answer as before, its askers have the fallback in time, and its replica takes over",
  async ({ how, signal, cutOffMs }) => {
    const { cluster } = connectCluster(servers.masters[0]!.server.port, TIMEOUT_MS);
    const parts = assembleQuotaParts({ firestore: target.db, redis: cluster, mode: "redis-primary" });
    const { keys, redisStore, service, sync, collection } = parts;
    // Before the load and after it nothing is in a hurry.
    const { cluster: patient } = connectCluster(servers.masters[0]!.server.port);
    const patiently = assembleQuotaParts({
      firestore: target.db,
      redis: patient,
      mode: "redis-primary",
      beside: parts,
    });
    const limiter = limiterOn(new RedisRateLimitStore(cluster, keys));
    await Promise.all(IDS.map((id) => collection.doc(id).set({ aiCallsUsed: 0, aiCallsLimit: 1_000_000 })));
    for (const id of IDS) await patiently.service.consume(id);
    // An instance that does nothing but tell the status.
    const { cluster: other } = connectCluster(servers.masters[0]!.server.port, TIMEOUT_MS);
    const probe = new RedisProbe(other);
    const reached = async () => (await probe.status()).reachable && (await probe.status());
    expect(await waitFor(reached, { what: "the status" })).toMatchObject({ masters: 3 });
    const isOfVictim = (id: string) => servers.indexOf(slotOf(keys.quota(id))) === VICTIM;
    const ofVictim = IDS.filter(isOfVictim);
    expect(ofVictim.length).toBeGreaterThan(5);

    const load = startLoad(IDS, 24, consumeOne(redisStore));
    const bySource = new Map<string, Answers>();
    const decisions = startLoad(IDS, 8, async (id) => {
      const startedMs = performance.now();
      const { source } = await limiter.check("p", id);
      const name = `${isOfVictim(id) ? "victim's" : "others'"} by ${source}`;
      const answers = bySource.get(name) ?? { count: 0, slowestMs: 0 };
      answers.slowestMs = Math.max(answers.slowestMs, performance.now() - startedMs);
      answers.count++;
      bySource.set(name, answers);
      return "accepted";
    });
    await waitFor(() => total(load.tallies.values(), "accepted") > 1000, { what: "consumptions" });

    // The replica has all until now.
    const victim = servers.masters[VICTIM]!.direct;
    await waitFor(async () => (await victim.dbsize()) === (await servers.replicas[VICTIM]!.direct.dbsize()), {
      what: "the replica to have the entries",
    });
    const acceptedOfVictim = () => total(tallies(ofVictim), "accepted");
    const beforeMs = performance.now();
    const acceptedBefore = acceptedOfVictim();
    if (cutOffMs > 0) {
      // A password that the master does not know keeps the replica from coming back.
      await servers.replicas[VICTIM]!.direct.config("SET", "masterauth", "wrong");
      await victim.call("CLIENT", "KILL", "TYPE", "replica");
      await sleep(cutOffMs);
    }
    const goneMs = performance.now();
    await servers.masters[VICTIM]!.server.kill(signal);
    const atRisk = acceptedOfVictim() - acceptedBefore;
    await waitFor(() => total(tallies(ofVictim), "failed") > 0, { what: "the loss to be noticed" });
    expect((await probe.status()).reachable).toBe(false);
    // In the meantime Firestore decides, and a check is answered.
    const checkedMs = performance.now();
    expect(await service.check(ofVictim[0]!)).toMatchObject({ source: "firestore" });
    expect(performance.now() - checkedMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
    // A sync brings over what is on the others, and says that it could not do all.
    const documentsOfOthers = IDS.filter((id) => !isOfVictim(id)).map((id) => collection.doc(id));
    let isBrought = false;
    // What a busy machine keeps one flush from bringing, the next brings.
    for (let flushes = 0; !isBrought && flushes < 5; flushes++) {
      const flush = sync.flushAll({ deadlineMs: Date.now() + 20_000 });
      await expect(flush).rejects.toThrow(RedisUnavailableError);
      const documents = await target.db.getAll(...documentsOfOthers);
      isBrought = documents.every((each) => each.get("aiCallsUsed") > 0);
    }
    expect(isBrought).toBe(true);

    await waitFor(
      () => {
        const lastFailureMs = Math.max(...tallies(ofVictim).map((tally) => tally.lastFailureMs));
        return tallies(ofVictim).every(({ lastAnswerMs }) => lastAnswerMs > lastFailureMs + 300);
      },
      { what: "the replica to have taken over", timeoutMs: 30_000 },
    );
    const recoveredMs = Math.max(...tallies(ofVictim).map((tally) => tally.lastFailureMs)) - goneMs;
    expect(await isMaster(servers.replicas[VICTIM]!)).toBe(true);
    await waitFor(async () => (await probe.status()).reachable, { what: "the status of the new master" });
    if (signal === "SIGSTOP") {
      await servers.masters[VICTIM]!.server.kill("SIGCONT");
      await waitFor(async () => !(await isMaster(servers.masters[VICTIM]!)), {
        what: "the old master to give way",
      });
      await sleep(500);
    }
    await Promise.all([load.stop(), decisions.stop()]);

    let lost = 0;
    for (const id of IDS) {
      const { accepted, unknown } = load.tallies.get(id)!;
      const entry = await waitFor(() => patiently.redisStore.read(id), { what: "the entry" });
      // The first call of each came before the load.
      const used = entry.kind === "snapshot" ? entry.quota.used - 1 : -1;
      expect(used).toBeLessThanOrEqual(accepted + unknown);
      if (isOfVictim(id)) lost += Math.max(0, accepted - used);
      else expect(used).toBeGreaterThanOrEqual(accepted);
    }
    const others = tallies(IDS.filter((id) => !isOfVictim(id)));
    const all = tallies(ofVictim);
    process.stdout.write(
      `failover, ${how}: ${(recoveredMs / 1000).toFixed(1)} s to recover; of ${total(all, "accepted")} consumptions on the ` +
        `victim ${lost} lost (${atRisk} accepted in the last ${(goneMs - beforeMs).toFixed(0)} ms), ${total(all, "failed")} not executed, ${total(all, "unknown")} unknown; ` +
        `others: ${total(others, "accepted")} accepted, ${total(others, "failed") + total(others, "unknown")} failed; ` +
        `slowest ${slowest(all)} / ${slowest(others)} ms; decisions ${JSON.stringify(Object.fromEntries(bySource))}\n`,
    );
    // Without a lag, what is lost was accepted while the master was being ended.
    expect(lost).toBeLessThanOrEqual(cutOffMs > 0 ? atRisk : 20);
    if (cutOffMs > 0) expect(lost).toBeGreaterThan(0);
    expect(total(others, "failed") + total(others, "unknown")).toBeLessThan(total(others, "accepted") / 100);
    expect(slowest(all)).toBeLessThan(TIMEOUT_MS + SLACK_MS);
    expect(bySource.get("victim's by local")!.count).toBeGreaterThan(10);
    for (const { slowestMs } of bySource.values()) expect(slowestMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);

    // What the promoted replica has reaches Firestore, once.
    const inRedis = await Promise.all(IDS.map((id) => patiently.redisStore.read(id)));
    expect(await patiently.sync.flushAll({ deadlineMs: Date.now() + 20_000 })).toMatchObject({
      failed: 0,
      complete: true,
    });
    const documents = await target.db.getAll(...IDS.map((id) => collection.doc(id)));
    expect(documents.map((each) => each.get("aiCallsUsed") as number)).toEqual(
      inRedis.map((entry) => (entry.kind === "snapshot" ? entry.quota.used : -1)),
    );
    for (const each of [cluster, other, patient]) each.close();

    function tallies(ids: readonly string[]): Tally[] {
      return ids.map((id) => load.tallies.get(id)!);
    }
  },
  90_000,
);

function slowest(tallies: readonly Tally[]): number {
  return Math.round(Math.max(...tallies.map(({ slowestMs }) => slowestMs)));
}
