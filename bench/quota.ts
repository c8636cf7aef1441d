/**
 * What does a quota cost in Redis, compared with the plainest way to do the same?
 *
 *   npm run bench -- quota [--json]
 *
 * - consume@1.p50: does `RedisQuotaStore.consume` take longer than a bare EVALSHA of its script? (at most 1.15 times)
 * - consume@256: how much more do 256 callers get done than with one script call per consume? (at least 4 times)
 * - check@1.p50: does `QuotaService.check` take longer than a GET and JSON.parse by a default ioredis client, as in the
 *   guide that this product follows? (at most 1.15 times)
 * - check@256: how much more do 256 callers get done than with that? (at least 3 times)
 * - sync: how many more providers does `QuotaSync.flushAll` flush per second than one Firestore transaction each, 32 at
 *   a time? (at least 3 times)
 * - bytes: does a clean entry take more memory than the guide's JSON string under `quota:{id}` by SETEX? (at most 1.2
 *   times, 100,000 entries)
 *
 * Redis and the stand-in Firestore run in processes of their own on this machine. Both sides of a comparison take turns
 * many times in each run; the ratio is the median of the runs' ratios. `--json` prints the ratios as the last line.
 */
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { consumeQuotas } from "../functions/dist/redis/lua.generated.js";
import { CALL_RECORD_TTL_MS } from "../functions/dist/quota/call-records.js";
import { runScriptForBuffer } from "../functions/dist/redis/script.js";
import { startRedis } from "../scripts/redis-server.mjs";
import { ComparisonTable } from "./lib/comparison.ts";
import { startFirestore, useFirestore } from "./lib/firestore-process.ts";
import { describeMachine } from "./lib/machine.ts";
import { callsPerSecond, concurrently, durationsUs } from "./lib/measure.ts";
import { assembleQuotaParts, FIELDS, KEYS } from "./lib/quota-parts.ts";

const { values: options } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const RUNS = 7;
const TURNS = 10;
const PROVIDERS = 1000;
const CALLERS = 256;
const CALLS_PER_TURN = 200;
const MS_PER_TURN = 60;
const DIRTY_PROVIDERS = 2000;
const TRANSACTIONS_AT_ONCE = 32;
const ENTRIES = 100_000;
const COLLECTION = "providers";

const table = new ComparisonTable({ runs: RUNS, turns: TURNS });

console.log(describeMachine());
console.log(
  `Medians of ${RUNS} runs, in each of which both sides take ${TURNS} turns; ${PROVIDERS} providers\n`,
);
table.printHeader();

const redis = await startRedis();
const firestoreProcess = await startFirestore();
useFirestore(firestoreProcess.address);
const address = { host: "127.0.0.1", port: redis.port };
const parts = assembleQuotaParts({ redisPort: redis.port, collectionPath: COLLECTION });
const { connection, firestore, redisStore, service, sync } = parts;
/** The guide's client. */
const guide = new Redis(address);
/** For what is neither side's. */
const control = new Redis(address);
/** As the product's own connection: the same protocol and the same timers. */
const bare = new Redis({
  ...address,
  protocol: 2,
  commandTimeout: 1000,
  socketTimeout: 2000,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
});

const ids = Array.from({ length: PROVIDERS }, (_, i) => `provider-${i}`);
const pick = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)]!;
/** One call of the script for one consume of each provider. */
const inputs = ids.map((id) => ({
  missingLimit: FIELDS.defaultLimit,
  recordTtlMs: CALL_RECORD_TTL_MS,
  count: 1,
  calls: [1],
  keys: [KEYS.quota(id), KEYS.dirty(id)],
}));
const bareArguments = inputs.map(
  ({ missingLimit, recordTtlMs, count, calls, keys }) =>
    [consumeQuotas.sha1, keys.length, ...keys, missingLimit, recordTtlMs, count, ...calls] as const,
);

const consume = () => redisStore.consume({ providerId: pick(ids), cost: 1 });
const evalsha = () => bare.evalsha(...pick(bareArguments));
const consumeUnbatched = () => runScriptForBuffer(connection, consumeQuotas, pick(inputs), (reply) => reply);
const check = () => service.check(pick(ids));

async function guideCheck(): Promise<unknown> {
  const data = await guide.get(`quota:${pick(ids)}`);
  const { used, limit } = JSON.parse(data!) as { used: number; limit: number };
  return { hasQuota: used < limit, used, limit };
}

async function load(collection: string): Promise<void> {
  await concurrently(64, DIRTY_PROVIDERS, (i) =>
    firestore.doc(`${collection}/dirty-${i}`).set({ aiCallsUsed: 0, aiCallsLimit: 1_000_000 }),
  );
}

/** A snapshot as Firestore would have it now. */
function snapshotNow(used: number, limit: number) {
  const nowMs = Date.now();
  return { quota: { used, limit }, version: nowMs * 1000, asOfMs: nowMs, marker: 0, created: 0 };
}

async function compareLatencies(): Promise<void> {
  const turn = (work: () => Promise<unknown>) => () => durationsUs(CALLS_PER_TURN, work);
  const unit = "us p50";
  const goal = { atMost: 1.15 };
  await table.compare({ name: "consume@1.p50", unit, goal }, { ours: turn(consume), theirs: turn(evalsha) });
  await table.compare({ name: "check@1.p50", unit, goal }, { ours: turn(check), theirs: turn(guideCheck) });
}

async function compareThroughputs(): Promise<void> {
  const turn = (work: () => Promise<unknown>) => async () => [
    await callsPerSecond(CALLERS, MS_PER_TURN, work),
  ];
  const unit = "calls/s";
  await table.compare(
    { name: "consume@256", unit, goal: { atLeast: 4 } },
    { ours: turn(consume), theirs: turn(consumeUnbatched) },
  );
  await table.compare(
    { name: "check@256", unit, goal: { atLeast: 3 } },
    { ours: turn(check), theirs: turn(guideCheck) },
  );
}

async function compareSyncs(): Promise<void> {
  const plain = `${COLLECTION}-plain`;
  await load(COLLECTION);
  await load(plain);
  const perSecond = (startMs: number) => [DIRTY_PROVIDERS / ((performance.now() - startMs) / 1000)];
  const oneTransactionEach = async () => {
    const startMs = performance.now();
    await concurrently(TRANSACTIONS_AT_ONCE, DIRTY_PROVIDERS, (i) =>
      firestore.runTransaction(async (transaction) => {
        const document = firestore.doc(`${plain}/dirty-${i}`);
        const used = Number((await transaction.get(document)).get("aiCallsUsed"));
        transaction.update(document, { aiCallsUsed: used + 1 });
      }),
    );
    return perSecond(startMs);
  };
  const flushAll = async () => {
    await concurrently(CALLERS, DIRTY_PROVIDERS, (i) => service.consume(`dirty-${i}`));
    const startMs = performance.now();
    const { flushed } = await sync.flushAll({ deadlineMs: Date.now() + 60_000 });
    if (flushed !== DIRTY_PROVIDERS) throw new Error(`${flushed} of ${DIRTY_PROVIDERS} providers flushed`);
    return perSecond(startMs);
  };
  // What was consumed by the other measurements has no documents.
  await sync.flushAll({ deadlineMs: Date.now() + 60_000 });
  await flushAll();
  await oneTransactionEach();
  await table.compare(
    { name: "sync", unit: "providers/s", goal: { atLeast: 3 } },
    { ours: flushAll, theirs: oneTransactionEach, turns: 1 },
  );
}

/** Once: an allocator does not vary. */
async function compareMemory(): Promise<void> {
  const used = async () => Number(/used_memory:(\d+)/.exec(await control.info("memory"))![1]);
  const perEntry = async (write: (id: string, i: number) => Promise<unknown>) => {
    await control.flushall("SYNC");
    const before = await used();
    await concurrently(CALLERS, ENTRIES, (i) => write(providerId(i), i));
    return [((await used()) - before) / ENTRIES];
  };
  // As long as the ids that Firestore makes.
  const providerId = (i: number) => `provider${String(i).padStart(12, "0")}`;
  await table.compare(
    { name: "bytes", unit: "per entry", goal: { atMost: 1.2 } },
    {
      ours: () => perEntry((id, i) => redisStore.apply(id, snapshotNow(i % 100, 100))),
      theirs: () =>
        perEntry((id, i) => guide.setex(`quota:${id}`, 300, JSON.stringify({ used: i % 100, limit: 100 }))),
      runs: 1,
      turns: 1,
    },
  );
}

try {
  await bare.script("LOAD", consumeQuotas.source);
  for (const id of ids) {
    await redisStore.apply(id, snapshotNow(0, 1_000_000_000));
    await guide.set(`quota:${id}`, JSON.stringify({ used: 0, limit: 1_000_000_000 }));
  }
  // Until the code is compiled and the entries are dirty.
  for (const work of [consume, evalsha, consumeUnbatched, check, guideCheck])
    await callsPerSecond(CALLERS, 500, work);
  await compareLatencies();
  await compareThroughputs();
  await compareSyncs();
  await compareMemory();
  if (options.json) console.log(JSON.stringify({ bench: "quota", ratios: table.ratios }));
} finally {
  for (const client of [guide, control, bare]) client.disconnect();
  await parts.close();
  firestoreProcess.stop();
  await redis.stop();
}
