import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

import { Callers, type Answers, type Source } from "./callers.ts";
import { deliverEvents } from "./events.ts";
import { compareStores, syncUntilClean, type Comparison } from "./settlement.ts";
import { REDIS_TIMEOUT_MS, startStage, type Stage, type StageOptions } from "./stage.ts";

const WARM_UP_MS = 300;
const SYNC_EVERY_MS = 400;
const AFTER_RECOVERY_MS = 250;
const RECOVERY_LIMIT_MS = 12_000;

/** What the fallback itself may take, with 32 callers at once on two cores. */
export const FALLBACK_MS = 850;

/** What is done for the other callers before one learns of an answer that is there. */
const TURN_MS = 100;

const MAX_PLAYS = 3;

/** Part of the calls whose outcome may be unknown without a fault that makes it so. */
const NOISE = 0.02;

/** A fault, and what must hold while it lasts and when it is over. */
export interface Scenario extends StageOptions {
  readonly name: string;
  readonly lastsMs: number;
  begin(stage: Stage): unknown;
  end(stage: Stage): unknown;
  /** The store whose answers show that all is well again; none where the fault keeps nobody from answering. */
  readonly recoversWith?: "redis" | "firestore";
  /** Stores that must have answered while the fault lasted, so that it was one; and those that cannot have. */
  readonly answeredBy?: readonly Source[];
  readonly notAnsweredBy?: readonly Source[];
  /** Whether usage is brought to Firestore all the while; by default, but where Redis's data is lost. */
  readonly syncsMeanwhile?: boolean;
  /** Whether changes of documents reach the mirror; true by default. */
  readonly eventsArrive?: boolean;
  /** Whether Redis's data is lost: then pending usage may be, and it must be some. */
  readonly losesRedisData?: boolean;
  /** Whether Redis lacks what Firestore counts meanwhile though it answers. */
  readonly redisGoesStale?: boolean;
  /** Whether calls may fail because Firestore, which they need, gives no answer. */
  readonly firestoreMayFail?: boolean;
  /** Whether it may be unknown of calls whether they were counted. */
  readonly mayBeUnknown?: boolean;
  /** The longest that a call may take, pauses of this process apart; by default what Redis and the fallback may. */
  readonly slowestMs?: number;
}

/** What came of a scenario: a row of the table. */
export interface Result extends Comparison {
  readonly scenario: Scenario;
  /** Asked while the fault lasted. */
  readonly during: Answers;
  /** In all. */
  readonly slowestMs: number;
  readonly slowestLimitMs: number;
  readonly unknown: number;
  /** The longest that this process stood still. */
  readonly pauseMs: number;
  readonly recoveryMs: number | undefined;
  /** What Redis had accepted and no sync had brought to Firestore when the fault ended; undefined where syncs run. */
  readonly pending: number | undefined;
  readonly wrong: readonly string[];
  /** What did not hold, in words; a scenario without any has passed. */
  readonly problems: readonly string[];
  /** Whether a call took too long, which by itself may be another process's doing. */
  readonly isSlow: boolean;
}

/** Plays a scenario, and again where nothing was wrong but that a call was slow: other processes have the machine too. */
export async function play(scenario: Scenario): Promise<Result> {
  for (let plays = 1; ; plays++) {
    const result = await playOnce(scenario);
    if (!(result.isSlow && result.problems.length === 1) || plays === MAX_PLAYS) return result;
  }
}

/** Callers ask before, during and after the fault, and everything is counted up in the end. */
async function playOnce(scenario: Scenario): Promise<Result> {
  const stage = await startStage(scenario);
  // Where the data is lost, so is all that is pending, which a sync would keep small.
  const { mode, losesRedisData = false, syncsMeanwhile = !losesRedisData } = scenario;
  const callers = new Callers(stage, mode, losesRedisData);
  const pauses = monitorEventLoopDelay({ resolution: 10 });
  try {
    await callers.prepare();
    const stopEvents = scenario.eventsArrive === false ? undefined : deliverEvents(stage);
    callers.start();
    await sleep(WARM_UP_MS);
    await callers.stop();
    await syncUntilClean(stage);
    for (const ledger of callers.ledgers) ledger.synced();
    const acceptedByRedis = () => callers.ledgers.reduce((sum, { accepted }) => sum + accepted.redis, 0);
    const syncedByRedis = acceptedByRedis();
    const before = callers.takeAnswers();

    pauses.enable();
    callers.start();
    const stopSyncs = mode === "redis-primary" && syncsMeanwhile ? syncAgainAndAgain(stage) : undefined;
    await sleep(WARM_UP_MS);
    const healthy = callers.takeAnswers();
    if (losesRedisData) for (const ledger of callers.ledgers) ledger.redisMayMiss(0);
    else if (scenario.redisGoesStale || mode === "dual-write")
      for (const ledger of callers.ledgers) ledger.redisMayMiss();
    await scenario.begin(stage);
    await sleep(scenario.lastsMs);
    const during = callers.takeAnswers();
    const pending = stopSyncs ? undefined : acceptedByRedis() - syncedByRedis;
    await scenario.end(stage);
    const recoveryMs = await recovery(callers, scenario);
    await sleep(AFTER_RECOVERY_MS);
    await callers.stop();
    await stopSyncs?.();
    pauses.disable();
    await stopEvents?.();
    const after = callers.takeAnswers();

    const comparison = await compareStores(stage, callers.ledgers);
    const phases = [before, healthy, during, after];
    const figures = {
      scenario,
      during,
      slowestMs: Math.max(...phases.map(({ slowestMs }) => slowestMs)),
      slowestLimitMs: Math.max(...phases.map(({ slowestLimitMs }) => slowestLimitMs)),
      unknown: phases.reduce((sum, { unknown }) => sum + unknown, 0),
      pauseMs: pauses.max / 1e6,
      recoveryMs,
      pending,
      wrong: [...callers.wrong, ...comparison.wrong],
    };
    const result = { ...comparison, ...figures };
    return { ...result, ...assess(result) };
  } finally {
    await stage.close();
  }
}

/** How long after the fault's end the first call was answered by the store that it had kept from answering. */
function recovery(callers: Callers, { recoversWith }: Scenario): Promise<number | undefined> {
  if (recoversWith === undefined) return Promise.resolve(undefined);
  const endedMs = performance.now();
  return new Promise((resolve) => {
    const giveUp = setTimeout(() => resolve(Infinity), RECOVERY_LIMIT_MS);
    callers.onArrival = ({ source, askedMs, answeredMs }) => {
      if (source !== recoversWith || askedMs < endedMs) return;
      clearTimeout(giveUp);
      callers.onArrival = () => {};
      resolve(answeredMs - endedMs);
    };
  });
}

function syncAgainAndAgain({ instances }: Stage): () => Promise<void> {
  let over = false;
  const synced = (async () => {
    while (!over) {
      // A sync fails while Redis is away; the next one goes on.
      await instances
        .at(-1)!
        .quotaSync.flushAll({ deadlineMs: Date.now() + 60_000 })
        .catch(() => {});
      await sleep(SYNC_EVERY_MS);
    }
  })();
  return async () => {
    over = true;
    await synced;
  };
}

function assess(result: Omit<Result, "problems" | "isSlow">): Pick<Result, "problems" | "isSlow"> {
  const { scenario, during, slowestMs, slowestLimitMs, unknown, pauseMs, recoveryMs, wrong } = result;
  const { lost, doubled, overrun, pending = 0 } = result;
  const { mode, slowestMs: mayTakeMs = REDIS_TIMEOUT_MS + FALLBACK_MS } = scenario;
  const problems: string[] = [];
  const expect = (holds: boolean, otherwise: string) => void (holds || problems.push(otherwise));
  expect(wrong.length === 0, `${wrong.length} wrong: ${wrong.slice(0, 3).join("; ")}`);
  expect(doubled === 0, `${doubled} counted twice`);
  if (scenario.losesRedisData && mode === "redis-primary") {
    expect(lost > 0, "nothing was lost, so that this proves nothing");
    expect(lost <= pending, `${lost} lost, of ${pending} pending`);
  } else expect(lost === 0, `${lost} lost`);
  if (mode === "dual-write") expect(overrun === 0, `${overrun} accepted beyond limits`);
  for (const source of scenario.answeredBy ?? [])
    expect(during.bySource[source] > 0, `nothing was answered by ${source}`);
  for (const source of scenario.notAnsweredBy ?? [])
    expect(during.bySource[source] === 0, `${during.bySource[source]} answered by ${source}`);
  const asked = Object.values(during.bySource).reduce((sum, answers) => sum + answers, unknown);
  // A machine that stands still for the length of the time limit has that come to pass by itself.
  if (!scenario.mayBeUnknown)
    expect(unknown <= asked * NOISE, `${unknown} of ${asked} with an unknown outcome`);
  if (!scenario.firestoreMayFail) expect(during.unavailable === 0, `${during.unavailable} failed`);
  const isWithin = (tookMs: number, allowedMs: number) => tookMs <= allowedMs + pauseMs;
  const isSlow = !(isWithin(slowestMs, mayTakeMs) && isWithin(slowestLimitMs, REDIS_TIMEOUT_MS + TURN_MS));
  expect(
    !isSlow,
    `the slowest took ${Math.round(slowestMs)} ms, of rate limits ${Math.round(slowestLimitMs)} ms; ` +
      `${mayTakeMs} and ${REDIS_TIMEOUT_MS + TURN_MS} ms and a pause of ${Math.round(pauseMs)} ms are allowed`,
  );
  expect(recoveryMs !== Infinity, `${scenario.recoversWith} did not answer again in ${RECOVERY_LIMIT_MS} ms`);
  return { problems, isSlow };
}
