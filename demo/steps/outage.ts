import { setTimeout as sleep } from "node:timers/promises";
import { CheckLoad, type LoadSample } from "../check-load.ts";
import { formatMs } from "../latency.ts";
import { committed, type ProviderWrite } from "../mirror-watch.ts";
import { quotasInFirestore } from "../quotas.ts";
import { toVersion } from "../../functions/dist/firestore.js";
import { parseStoredQuota } from "../../functions/dist/quota/stored-quota.js";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";
import { lookUntil } from "../timing.ts";

const PROVIDERS = 20;
const BEFORE_MS = 1_000;
const OUTAGE_MS = 3_000;
const RECOVERY_TIMEOUT_MS = 10_000;
/** So long without an answer from Firestore counts as recovered. */
const ONLY_REDIS_MS = 1_500;
/** A client with default settings waits until Redis is back, or longer. A busy machine takes its share of this. */
const SLOWEST_MS = 2_000;

interface Outage {
  readonly killedAt: number;
  readonly restartedAt: number;
  /** A document was changed in between. */
  readonly changed: ProviderWrite;
}

/** Kills Redis while checks go on, changes a document, and starts Redis again, empty. */
export async function surviveOutage(stack: Stack, report: Report): Promise<void> {
  const ids = [...(await quotasInFirestore(stack)).keys()];
  // A document that nobody checks: only the mirror can bring it to Redis.
  const uncheckedId = ids[PROVIDERS]!;
  const load = new CheckLoad(stack.user, ids.slice(0, PROVIDERS));
  const tell = setInterval(() => report.progress(`${load.samples.length} checks`), 200);
  try {
    const outage = await stopAndRestart(stack, uncheckedId, report);
    const [mirroredAt] = await Promise.all([untilMirrored(stack, outage.changed), untilOnlyRedis(load)]);
    await load.stop();
    describeDuring(load.samples, outage, report);
    describeAfter(load.samples, outage, mirroredAt, report);
  } finally {
    clearInterval(tell);
    await load.stop();
  }
}

async function stopAndRestart(
  { redisServer, providers }: Stack,
  changedId: string,
  report: Report,
): Promise<Outage> {
  await sleep(BEFORE_MS);
  await redisServer.kill("SIGKILL");
  const killedAt = performance.now();
  report.note("Redis is killed while checks go on.");
  const changed = await committed(changedId, providers.doc(changedId).update({ isOnline: true }));
  await sleep(OUTAGE_MS);
  await redisServer.restart();
  const restartedAt = performance.now();
  report.note(`Redis is started again on the same port, empty, after ${formatMs(restartedAt - killedAt)}.`);
  return { killedAt, restartedAt, changed };
}

async function untilOnlyRedis({ samples }: CheckLoad): Promise<void> {
  const recent = async (): Promise<LoadSample[]> =>
    samples.filter(({ endedAt }) => endedAt > performance.now() - ONLY_REDIS_MS);
  await sleep(ONLY_REDIS_MS);
  await lookUntil(recent, (seen) => seen.length > 0 && seen.every(({ source }) => source === "redis"), {
    timeoutMs: RECOVERY_TIMEOUT_MS,
    everyMs: 50,
  });
}

function describeDuring(samples: readonly LoadSample[], outage: Outage, report: Report): void {
  const errors = samples.flatMap(({ error }) => error ?? []);
  report.expect("checks before, during and after", {
    expected: "every one answered",
    measured: `${samples.length - errors.length} of ${samples.length} answered${errors[0] ? `: ${errors[0]}` : ""}`,
    holds: samples.length > 0 && errors.length === 0,
  });

  const during = samples.filter(
    ({ startedAt, endedAt }) => startedAt >= outage.killedAt && endedAt <= outage.restartedAt,
  );
  const byFirestore = during.filter(({ source }) => source === "firestore");
  report.latency("check while Redis is down", during.map(durationMs));
  report.expect("checks while Redis is down", {
    expected: "all answered by Firestore",
    measured: `${byFirestore.length} of ${during.length} by Firestore`,
    holds: during.length > 0 && byFirestore.length === during.length,
  });

  const slowest = Math.max(...samples.map(durationMs));
  report.expect("slowest check of all", {
    expected: `at most ${formatMs(SLOWEST_MS)}`,
    measured: formatMs(slowest),
    holds: slowest <= SLOWEST_MS,
  });
}

function durationMs({ startedAt, endedAt }: LoadSample): number {
  return endedAt - startedAt;
}

function describeAfter(
  samples: readonly LoadSample[],
  { restartedAt }: Outage,
  mirroredAt: number | undefined,
  report: Report,
): void {
  const since = (moment: number): string => formatMs(moment - restartedAt);
  const after = samples.filter(({ startedAt }) => startedAt >= restartedAt);
  const first = after.find(({ source }) => source === "redis");
  const lastByFirestore = after.findLast(({ source }) => source === "firestore");
  report.expect("answers by Redis again", {
    expected: `within ${formatMs(RECOVERY_TIMEOUT_MS)}, then all`,
    measured: first
      ? `the first after ${since(first.endedAt)}, all after ${since(lastByFirestore?.endedAt ?? first.endedAt)}`
      : "none",
    holds: first !== undefined && samples.at(-1)?.source === "redis",
  });
  report.expect("the change made while Redis was down", {
    expected: `mirrored within ${formatMs(RECOVERY_TIMEOUT_MS)}`,
    measured: mirroredAt === undefined ? "none" : `after ${since(mirroredAt)}`,
    holds: mirroredAt !== undefined,
  });
}

/** When the mirror, which tries again by itself, has brought a change to Redis. */
async function untilMirrored(
  { redis, keys }: Stack,
  { id, writeTime }: ProviderWrite,
): Promise<number | undefined> {
  const version = toVersion(writeTime);
  const { last } = await lookUntil(
    async () => parseStoredQuota(await redis.getBuffer(keys.quota(id)))?.version,
    (known) => known === version,
    { timeoutMs: RECOVERY_TIMEOUT_MS, everyMs: 20 },
  );
  return last === version ? performance.now() : undefined;
}
