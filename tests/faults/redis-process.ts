import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

const HANGS_FOR_MS = 1700;
const LASTS_MS = 1000;
const MODES = ["redis-primary", "dual-write"] as const;

const killed = {
  recoversWith: "redis",
  answeredBy: ["firestore", "local", "open", "closed"],
  mayBeUnknown: true,
  withoutProxy: true,
  lastsMs: LASTS_MS,
  begin: ({ redis }: Stage) => redis.kill("SIGKILL"),
  end: ({ redis }: Stage) => redis.restart(),
} as const;

/** The server dies and comes back, with its data or without, or stands still. */
export const redisProcessScenarios: readonly Scenario[] = MODES.flatMap((mode): Scenario[] => [
  { ...killed, name: "Redis is killed, without persistence", mode, losesRedisData: true },
  {
    ...killed,
    name: "Redis is killed, with `appendfsync always`",
    mode,
    redisArgs: ["--appendonly", "yes", "--appendfsync", "always"],
  },
  {
    ...killed,
    name: "Redis is stopped, and goes on",
    mode,
    lastsMs: HANGS_FOR_MS,
    begin: ({ redis }) => redis.kill("SIGSTOP"),
    end: ({ redis }) => redis.kill("SIGCONT"),
  },
]);
