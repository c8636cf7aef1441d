/**
 * Is a single accepted call lost or counted twice, while what brings usage to Firestore is killed again and again?
 *
 *   npm run bench -- soak [--minutes 3] [--json]
 *
 * 64 callers consume and refund the quotas of 1,000 providers in mode redis-primary, some calls with an idempotency key
 * and repeated. Two processes sync every second and are killed with SIGKILL at random moments, one of them most likely
 * amid a flush; their successors end what they began. Meanwhile limits are edited in Firestore, and changes of
 * documents, edits as well as flushes, reach the mirror late, twice and in another order: this process reads the
 * documents and delivers the events itself. In the end each document must have been used by what was accepted less what
 * was refunded, and Redis must say the same. Exit code 1 if not.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomInt, randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Timestamp } from "@google-cloud/firestore";
import { QuotaOutcomeUnknownError } from "../functions/dist/quota/outcome-errors.js";
import type { ConsumeOptions } from "../functions/dist/quota/quota-service.js";
import { startRedis } from "../scripts/redis-server.mjs";
import { whenGone } from "../scripts/when-gone.mjs";
import { startFirestore, useFirestore } from "./lib/firestore-process.ts";
import { describeMachine } from "./lib/machine.ts";
import { concurrently } from "./lib/measure.ts";
import { assembleQuotaParts } from "./lib/quota-parts.ts";

const { values: options } = parseArgs({
  options: { minutes: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
});
const MINUTES = Number(options.minutes);
if (!(MINUTES > 0 && MINUTES <= 60)) throw new Error("--minutes takes a number up to 60");
const PROVIDERS = 1000;
const CALLERS = 64;
const WORKERS = 2;
const COLLECTION = "providers";
const WORKER = join(import.meta.dirname, "lib/sync-worker.ts");

/** What this process knows to have been used of a provider; a call without an answer may have been counted or not. */
interface Ledger {
  readonly id: string;
  readonly usedBefore: number;
  used: number;
  unknownConsumed: number;
  unknownRefunded: number;
}

const counts = {
  calls: 0,
  accepted: 0,
  refused: 0,
  refunds: 0,
  keyed: 0,
  repeated: 0,
  byFirestore: 0,
  unknown: 0,
  beyondLimit: 0,
  edits: 0,
  events: 0,
  kills: 0,
  killsAmidFlush: 0,
  syncs: 0,
  flushes: 0,
  failedFlushes: 0,
};

console.log(describeMachine());
console.log(`${PROVIDERS} providers, ${CALLERS} callers, ${WORKERS} sync processes, ${MINUTES} min`);

const redis = await startRedis();
const firestoreProcess = await startFirestore();
useFirestore(firestoreProcess.address);
const parts = assembleQuotaParts({ redisPort: redis.port, collectionPath: COLLECTION });
const { firestore, service, mirror, sync, redisStore } = parts;
const collection = firestore.collection(COLLECTION);

const ledgers = Array.from({ length: PROVIDERS }, (_, i): Ledger => {
  const usedBefore = randomInt(20);
  return { id: `provider-${i}`, usedBefore, used: usedBefore, unknownConsumed: 0, unknownRefunded: 0 };
});
const any = <T>(values: readonly T[]): T => values[randomInt(values.length)]!;
const chance = (probability: number): boolean => Math.random() < probability;

let over = false;
const endsAtMs = Date.now() + MINUTES * 60_000;

/** Calls until there is an answer: with a key, what happened to a call without one can be learnt. */
async function ask(ledger: Ledger, kind: "consume" | "refund", call: ConsumeOptions): Promise<boolean> {
  for (let attempt = 0; ; attempt++) {
    try {
      counts.calls++;
      const { allowed, used, limit, source } = await service[kind](ledger.id, call);
      if (source === "firestore") counts.byFirestore++;
      if (kind === "consume" && allowed && used > limit) counts.beyondLimit++;
      return allowed;
    } catch (error) {
      if (!(error instanceof QuotaOutcomeUnknownError)) throw error;
      if (call.idempotencyKey !== undefined && attempt < 20) {
        await sleep(50);
        continue;
      }
      counts.unknown++;
      ledger[kind === "consume" ? "unknownConsumed" : "unknownRefunded"] += call.cost!;
      return false;
    }
  }
}

async function callOnce(): Promise<void> {
  const ledger = any(ledgers);
  const cost = chance(0.8) ? 1 : randomInt(2, 6);
  // Nothing but these calls changes what is used, so that a refund up to this much is counted in full.
  const refund = chance(0.15) && ledger.used - ledger.unknownRefunded >= cost;
  const idempotencyKey = chance(0.2) ? randomUUID() : undefined;
  const times = idempotencyKey !== undefined && chance(0.3) ? 3 : 1;
  if (refund) ledger.used -= cost;
  if (idempotencyKey !== undefined) counts.keyed++;
  const call = () => ask(ledger, refund ? "refund" : "consume", { cost, idempotencyKey });
  // The second at the same time as the first, the third after them.
  const answers = await Promise.all(Array.from({ length: Math.min(times, 2) }, call));
  if (times === 3) answers.push(await call());
  counts.repeated += times - 1;
  const accepted = answers.includes(true);
  if (refund) {
    if (!accepted) ledger.used += cost;
    else counts.refunds++;
  } else if (accepted) {
    ledger.used += cost;
    counts.accepted++;
  } else {
    counts.refused++;
  }
}

async function callUntilOver(): Promise<void> {
  while (!over) {
    await callOnce();
    await sleep(randomInt(5));
  }
}

/** Delivers a document's state as the event of its last change, late, and now and then twice. */
async function deliver(id: string): Promise<void> {
  const document = await collection.doc(id).get();
  const toVersion = ({ seconds, nanoseconds }: Timestamp) =>
    seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
  const updateTime = document.updateTime!;
  const change = {
    providerId: id,
    path: document.ref.path,
    data: document.data(),
    version: toVersion(updateTime),
    created: toVersion(document.createTime!),
    asOfMs: updateTime.toMillis(),
  };
  for (let times = chance(0.2) ? 2 : 1; times > 0; times--) {
    await sleep(randomInt(2000));
    await mirror.mirror(change);
    counts.events++;
  }
}

async function editUntilOver(): Promise<void> {
  const deliveries = new Set<Promise<void>>();
  while (!over) {
    const { id, used } = any(ledgers);
    // Near what is used, so that calls are refused as well.
    await collection.doc(id).update({ aiCallsLimit: Math.max(0, used + randomInt(-10, 200)) });
    counts.edits++;
    for (const changed of [id, any(ledgers).id]) {
      const delivery = deliver(changed).finally(() => deliveries.delete(delivery));
      deliveries.add(delivery);
    }
    await sleep(randomInt(40));
  }
  await Promise.all(deliveries);
}

interface Worker {
  readonly child: ChildProcess;
  flushing: boolean;
  readonly started: Promise<void>;
  end(): Promise<void>;
}

function startWorker(): Worker {
  const child = spawn(process.execPath, [WORKER, String(redis.port), COLLECTION], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const cancelCleanUp = whenGone('kill -KILL "$1"', [String(child.pid)]);
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let begun = (): void => {};
  const started = new Promise<void>((resolve) => (begun = resolve));
  const worker: Worker = {
    child,
    flushing: false,
    started: Promise.race([started, exited]),
    async end() {
      child.kill("SIGKILL");
      await exited;
      cancelCleanUp();
    },
  };
  createInterface(child.stdout).on("line", (line) => {
    const [what, flushed, failed] = line.split(" ");
    worker.flushing = what === "begin";
    if (what === "begin") begun();
    if (what === "end") {
      counts.syncs++;
      counts.flushes += Number(flushed);
      counts.failedFlushes += Number(failed);
    }
    if (what === "error") console.log(`  a sync failed: ${line}`);
  });
  return worker;
}

async function syncUntilOver(): Promise<void> {
  while (!over) {
    const worker = startWorker();
    await worker.started;
    const killAtMs = Date.now() + randomInt(2500);
    while (!over && Date.now() < killAtMs) await sleep(Math.min(20, Math.max(0, killAtMs - Date.now())));
    if (worker.flushing) counts.killsAmidFlush++;
    counts.kills++;
    await worker.end();
  }
}

async function flushUntilClean(): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const { flushed, failed } = await sync.flushAll({ deadlineMs: Date.now() + 60_000 });
    counts.flushes += flushed;
    if (failed === 0 && !(await redisStore.hasDirtyProviders())) return;
    await sleep(100);
  }
  throw new Error("Usage is left in Redis after 50 syncs.");
}

/** Compares documents, entries and ledgers; a call without an answer makes room for its cost. */
async function compare(): Promise<{ lost: number; doubled: number; differing: number }> {
  const documents = await firestore.getAll(...ledgers.map(({ id }) => collection.doc(id)));
  const result = { lost: 0, doubled: 0, differing: 0 };
  for (const [i, { id, used, unknownConsumed, unknownRefunded }] of ledgers.entries()) {
    const stored = Number(documents[i]!.get("aiCallsUsed"));
    const missing = Math.max(0, used - unknownRefunded - stored);
    const excess = Math.max(0, stored - used - unknownConsumed);
    const entry = await redisStore.read(id);
    const inRedis = entry.kind === "snapshot" ? entry.quota.used : undefined;
    const differs = inRedis !== undefined && inRedis !== stored;
    result.lost += missing;
    result.doubled += excess;
    if (differs) result.differing++;
    if (missing > 0 || excess > 0 || differs)
      console.log(`  ${id}: accepted less refunded ${used}, Firestore ${stored}, Redis ${inRedis ?? "-"}`);
  }
  return result;
}

try {
  await concurrently(64, PROVIDERS, (i) => {
    const { id, usedBefore } = ledgers[i]!;
    return collection.doc(id).set({ aiCallsUsed: usedBefore, aiCallsLimit: 20 + randomInt(200) });
  });
  const startMs = Date.now();
  const progress = setInterval(() => {
    const seconds = Math.round((Date.now() - startMs) / 1000);
    console.log(`  ${seconds} s: ${counts.calls} calls, ${counts.flushes} flushes, ${counts.kills} kills`);
  }, 15_000);
  const timer = setTimeout(() => (over = true), endsAtMs - Date.now());
  await Promise.all([
    ...Array.from({ length: CALLERS }, callUntilOver),
    ...Array.from({ length: WORKERS }, syncUntilOver),
    editUntilOver(),
  ]).finally(() => {
    over = true;
    clearTimeout(timer);
    clearInterval(progress);
  });
  await flushUntilClean();
  const { lost, doubled, differing } = await compare();
  const report = { lost, doubled, differing, ...counts };
  console.log();
  for (const [name, value] of Object.entries(report))
    console.log(`${name.padEnd(16)} ${value.toLocaleString("en-US").padStart(12)}`);
  const sound = lost === 0 && doubled === 0 && differing === 0 && counts.beyondLimit === 0;
  console.log(sound ? "\nSound: every accepted call was counted once." : "\nNOT SOUND, see above.");
  if (options.json) console.log(JSON.stringify({ bench: "soak", ...report, minutes: MINUTES }));
  if (!sound) process.exitCode = 1;
} finally {
  await parts.close();
  firestoreProcess.stop();
  await redis.stop();
}
