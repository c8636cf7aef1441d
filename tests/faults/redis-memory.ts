import { randomBytes } from "node:crypto";

import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

const LASTS_MS = 1000;
const MODES = ["redis-primary", "dual-write"] as const;
const FILLER_BYTES = 10_000;
const FILLERS_AT_ONCE = 100;

/** Takes what memory Redis has left, or more than that where it makes room by evicting. */
async function fill({ direct: { redis } }: Stage, fillers: number): Promise<void> {
  for (let written = 0; written < fillers; written += FILLERS_AT_ONCE) {
    const pipeline = redis.pipeline();
    for (let i = 0; i < FILLERS_AT_ONCE; i++)
      pipeline.set(`filler:${written + i}`, randomBytes(FILLER_BYTES / 2).toString("hex"));
    await pipeline.exec();
  }
}

async function usedBytes({ direct: { redis } }: Stage): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info("memory"))![1]);
}

const moreMemory = ({ direct: { redis } }: Stage) => redis.config("SET", "maxmemory", "0");

/** Redis is full: it refuses to write, or makes room with what it should keep. */
export const redisMemoryScenarios: readonly Scenario[] = MODES.flatMap((mode): Scenario[] => [
  {
    name: "Redis is full, with `noeviction`",
    mode,
    lastsMs: LASTS_MS,
    answeredBy: mode === "redis-primary" ? ["firestore", "local", "redis"] : ["firestore", "local"],
    recoversWith: "redis",
    redisGoesStale: true,
    begin: ({ direct: { redis } }) => redis.config("SET", "maxmemory", "1mb"),
    end: moreMemory,
  },
  {
    name: "Redis is full, with `allkeys-lru`",
    mode,
    redisArgs: ["--maxmemory-policy", "allkeys-lru", "--maxmemory-samples", "10"],
    lastsMs: LASTS_MS,
    answeredBy: ["firestore"],
    losesRedisData: true,
    mayBeUnknown: true,
    async begin(stage) {
      await stage.direct.redis.config("SET", "maxmemory", String((await usedBytes(stage)) + 1_000_000));
      await fill(stage, 1000);
    },
    end: moreMemory,
  },
]);
