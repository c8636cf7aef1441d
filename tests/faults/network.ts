import type { Faults } from "../harness/fault-proxy.ts";
import type { Scenario } from "./scenario.ts";
import { REDIS_TIMEOUT_MS, type Stage } from "./stage.ts";

/** Longer than any answer may take, so that one that waits for the end of the fault is too slow. */
const HANGS_FOR_MS = 1700;
const LASTS_MS = 1000;
const AGAIN_AFTER_MS = 60;

const heal = ({ redisProxy }: Stage): void => redisProxy.heal();
const faulty = (faults: Faults) => ({
  begin: ({ redisProxy }: Stage): void => redisProxy.set(faults),
  end: heal,
});

/** A fault that strikes again and again until it has ended. */
function repeatedly(strike: (stage: Stage) => void): Pick<Scenario, "begin" | "end"> {
  let timer: NodeJS.Timeout;
  return {
    begin(stage) {
      strike(stage);
      timer = setInterval(() => strike(stage), AGAIN_AFTER_MS);
    },
    end(stage) {
      clearInterval(timer);
      heal(stage);
    },
  };
}

const common = { recoversWith: "redis", answeredBy: ["firestore", "local"], mayBeUnknown: true } as const;

/** A proxy between the product and Redis loses, holds and breaks what passes. */
export const networkScenarios: readonly Scenario[] = [
  ...(["redis-primary", "dual-write"] as const).flatMap((mode): Scenario[] => [
    {
      ...common,
      name: "Replies of Redis stall, and arrive late",
      mode,
      lastsMs: HANGS_FOR_MS,
      ...faulty({ replies: "stall" }),
    },
    {
      ...common,
      name: "Packets to Redis are dropped",
      mode,
      lastsMs: HANGS_FOR_MS,
      ...faulty({ requests: "drop" }),
    },
    {
      ...common,
      name: "Connections break in the midst of a reply",
      mode,
      lastsMs: LASTS_MS,
      ...faulty({ replies: "cut-midway" }),
    },
    {
      ...common,
      name: "Scripts run, and their replies are lost",
      mode,
      lastsMs: LASTS_MS,
      ...repeatedly(({ redisProxy }) => redisProxy.cutReplyTo(/evalsha/i)),
    },
    {
      ...common,
      name: "Connections to Redis are reset, and no new ones made",
      mode,
      lastsMs: LASTS_MS,
      begin({ redisProxy }) {
        redisProxy.set({ refuse: true });
        redisProxy.reset();
      },
      end: heal,
    },
  ]),
  {
    ...common,
    name: "Redis answers later than `REDIS_TIMEOUT_MS`",
    mode: "redis-primary",
    lastsMs: HANGS_FOR_MS,
    ...faulty({ replies: { delayMs: 2 * REDIS_TIMEOUT_MS } }),
  },
  {
    ...common,
    name: "A reply of Redis is truncated, and nothing follows",
    mode: "redis-primary",
    lastsMs: LASTS_MS,
    ...faulty({ replies: "truncate" }),
  },
  {
    ...common,
    name: "Connections to Redis are reset again and again",
    mode: "redis-primary",
    lastsMs: LASTS_MS,
    ...repeatedly(({ redisProxy }) => redisProxy.reset()),
  },
];

/** Redis is slower than it should be and still in time: the answers stay its own. */
export const slowNetworkScenario: Scenario = {
  name: "Redis answers late, but within `REDIS_TIMEOUT_MS`",
  mode: "redis-primary",
  lastsMs: LASTS_MS,
  ...faulty({ replies: { delayMs: 20 } }),
  answeredBy: ["redis"],
};

/** The same callers without any fault. */
export const healthyScenario: Scenario = {
  name: "No fault",
  mode: "redis-primary",
  lastsMs: LASTS_MS,
  begin: () => undefined,
  end: () => undefined,
  answeredBy: ["redis"],
};
