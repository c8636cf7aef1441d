/**
 * How much faster are rate limits than those of rate-limiter-flexible?
 *
 *   npm run bench -- rate-limit [--json] [--svg FILE]
 *
 * - http@64: how many times the requests per second does an HTTP server answer that decides each by fixed-window, under
 *   load from another process over 64 connections? (at least 1.2)
 * - cpu: what part of the peer's processor time does such a decision take, in Node.js and Redis together? What the same
 *   server takes without a limiter is not counted. (at most 0.4)
 * - ALGORITHM@N: how many times the decisions per second of RateLimiterRedis do N callers get, each asking again once it
 *   is answered? Uniform over 1,000 subjects; with `.zipf` by Zipf's law (exponent 1.1) over 100,000.
 * - ALGORITHM@1.p50: does one caller wait longer than for a bare EVALSHA of the same script? (at most 1.05 times)
 * - guide@64: the same as fixed-window@64 against the MULTI of INCR and TTL of the guide that this product follows.
 * - bytes: what part of the peer's memory does a subject take in Redis, of 100,000? (at most 1)
 * - denied: how many refusals are answered from memory in the time of one round trip to Redis? (at least 100)
 *
 * Both sides use the same version of ioredis and one connection to the same Redis, a process of its own on this machine,
 * and take turns in each run. `--json` prints the ratios as the last line, `--svg` draws the decisions per second.
 */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { shapeOf, type Algorithm } from "../functions/dist/rate-limit/limit-algorithms.js";
import { takeLimit } from "../functions/dist/redis/lua.generated.js";
import { startRedis } from "../scripts/redis-server.mjs";
import { drawBarChart } from "./lib/bar-chart.ts";
import { ComparisonTable } from "./lib/comparison.ts";
import { compareHttpServers } from "./lib/http-comparison.ts";
import { connectLikeTheProduct, createLimiter, KEYS } from "./lib/limiters.ts";
import { describeMachine } from "./lib/machine.ts";
import { callsPerSecond, concurrently, durationsUs } from "./lib/measure.ts";

const { values: options } = parseArgs({
  options: { json: { type: "boolean", default: false }, svg: { type: "string" } },
});
const RUNS = 7;
/** Short turns, and many: how fast such a machine is changes from second to second. */
const TURNS = 6;
const MS_PER_TURN = 100;
const CALLS_PER_TURN = 200;
const LIMIT = 1_000_000;
const WINDOW_MS = 3_600_000;
const ZIPF_EXPONENT = 1.1;
const GOALS: Readonly<Record<Algorithm, readonly number[]>> = {
  "fixed-window": [4, 6, 9],
  "sliding-window": [4, 6, 9],
  "token-bucket": [3.5, 4, 5],
};
const CALLERS = [64, 256, 1024] as const;

const redis = await startRedis();
const { limiter, policies, connection } = createLimiter(redis.port, [
  ...Object.keys(GOALS).map((algorithm) => ({
    name: algorithm,
    by: "uid",
    limits: [{ algorithm, limit: LIMIT, windowMs: WINDOW_MS }],
  })),
  { name: "one", by: "uid", limits: [{ algorithm: "fixed-window", limit: 1, windowMs: WINDOW_MS }] },
]);
/** What the product tells its script for each algorithm. */
const script = (algorithm: Algorithm, code: number) => ({
  code,
  keys: [
    KEYS.blocks(0, algorithm),
    ...KEYS.charges(0, algorithm, shapeOf(policies.get(algorithm)!.limits.limits[0]!)),
  ],
});
const SCRIPTS: Readonly<Record<Algorithm, ReturnType<typeof script>>> = {
  "fixed-window": script("fixed-window", 1),
  "sliding-window": script("sliding-window", 2),
  "token-bucket": script("token-bucket", 3),
};
const client = connectLikeTheProduct(redis.port);
const flexible = new RateLimiterRedis({
  storeClient: client,
  points: LIMIT,
  duration: WINDOW_MS / 1000,
  keyPrefix: "rlf",
});

const uniform = Array.from({ length: 1000 }, (_, i) => `subject-${i}`);
/** Drawn beforehand, so that drawing costs neither side more than the other. */
const zipf = drawZipf(100_000, 200_000);
let next = 0;
const from = (subjects: readonly string[]) => () => subjects[(next = (next + 7919) % subjects.length)]!;

function drawZipf(subjects: number, draws: number): string[] {
  const cumulative: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= subjects; rank++) cumulative.push((sum += rank ** -ZIPF_EXPONENT));
  return Array.from({ length: draws }, () => {
    const at = Math.random() * sum;
    let [low, high] = [0, subjects - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! < at) low = middle + 1;
      else high = middle;
    }
    return `subject-${low}`;
  });
}

/** What the guide does for each request: a new key has no TTL, and gets one by a command of its own. */
async function guideCheck(subject: string): Promise<boolean> {
  const key = `guide:${subject}`;
  const replies = await client.multi().incr(key).ttl(key).exec();
  const [count, ttl] = replies!.map(([, reply]) => reply as number);
  if (ttl === -1) await client.expire(key, WINDOW_MS / 1000);
  return count! <= LIMIT;
}

async function bareScript(algorithm: Algorithm, subject: string): Promise<unknown> {
  const { limit, windowMs, capacity, spanMs, unitMs } = policies.get(algorithm)!.limits.limits[0]!;
  const { code, keys } = SCRIPTS[algorithm];
  const numbers = [1, 0, 1, 1, 0, 1, code, limit, windowMs / unitMs, capacity, spanMs, unitMs];
  return client.evalsha(takeLimit.sha1, keys.length, ...keys, ...numbers, subject);
}

/** Bytes that Redis needs for each of so many subjects that it has not seen. */
async function bytesPerSubject(decide: (subject: string) => Promise<unknown>): Promise<number[]> {
  const subjects = 100_000;
  const used = async () => Number(/used_memory:(\d+)/.exec(await client.info("memory"))![1]);
  const before = await used();
  await concurrently(256, subjects, (i) => decide(`${randomUUID()}-${i}`));
  return [(await used()) - before].map((bytes) => bytes / subjects);
}

function drawDecisions(): string {
  return drawBarChart({
    title: "Decisions per second by concurrent callers, one process, 1,000 subjects",
    caption: `Medians of ${RUNS} runs. ${describeMachine()}`,
    legend: { ours: "firestore-redis-quota", theirs: "rate-limiter-flexible (RateLimiterRedis)" },
    pairs: table.pairs.filter(({ name }) => /^\S+@(64|256|1024)$/.test(name) && !/^(http|guide)/.test(name)),
  });
}

const table = new ComparisonTable({ runs: RUNS, turns: TURNS });
const throughput = (callers: number, work: () => Promise<unknown>) => async () => [
  await callsPerSecond(callers, MS_PER_TURN, work),
];

console.log(describeMachine());
console.log(`Medians of ${RUNS} runs, in each of which both sides take ${TURNS} turns\n`);
table.printHeader();
try {
  await client.script("LOAD", takeLimit.source);
  await compareHttpServers(table, { redisPort: redis.port, client, nextSubject: from(uniform) });
  const algorithms = Object.keys(GOALS) as Algorithm[];
  for (const algorithm of algorithms) {
    const warm = from(uniform);
    await callsPerSecond(256, 500, () => limiter.check(algorithm, warm()));
    await callsPerSecond(256, 300, () => flexible.consume(warm(), 1));
  }
  await table.compareAll(
    algorithms.map((algorithm) => {
      const subject = from(uniform);
      return {
        name: `${algorithm}@1.p50`,
        unit: "us p50",
        goal: { atMost: 1.05 },
        ours: () => durationsUs(CALLS_PER_TURN, () => limiter.check(algorithm, subject())),
        theirs: () => durationsUs(CALLS_PER_TURN, () => bareScript(algorithm, subject())),
        turns: 3 * TURNS,
      };
    }),
  );
  for (const [suffix, subjects] of [["", uniform] as const, [".zipf", zipf] as const]) {
    const subject = from(subjects);
    const pairs = algorithms.flatMap((algorithm) =>
      CALLERS.map((callers, i) => ({
        name: `${algorithm}@${callers}${suffix}`,
        unit: "decisions/s",
        goal: { atLeast: GOALS[algorithm][i]! },
        ours: throughput(callers, () => limiter.check(algorithm, subject())),
        theirs: throughput(callers, () => flexible.consume(subject(), 1)),
      })),
    );
    await table.compareAll(pairs);
  }
  const subject = from(uniform);
  await table.compare(
    { name: "guide@64", unit: "decisions/s", goal: { atLeast: 4 } },
    {
      ours: throughput(64, () => limiter.check("fixed-window", subject())),
      theirs: throughput(64, () => guideCheck(subject())),
    },
  );
  await table.compare(
    { name: "bytes", unit: "bytes", goal: { atMost: 1 } },
    {
      ours: () => bytesPerSubject((each) => limiter.check("sliding-window", each)),
      theirs: () => bytesPerSubject((each) => flexible.consume(each, 1)),
      runs: 1,
      turns: 1,
    },
  );
  await limiter.check("one", "refused");
  await table.compare(
    { name: "denied", unit: "answers/s", goal: { atLeast: 100 } },
    {
      ours: throughput(1, () => limiter.check("one", "refused")),
      theirs: throughput(1, () => bareScript("fixed-window", subject())),
    },
  );
  if (options.svg) writeFileSync(options.svg, drawDecisions());
  if (options.json) console.log(JSON.stringify({ bench: "rate-limit", ratios: table.ratios }));
} finally {
  client.disconnect();
  connection.close();
  await redis.stop();
}
