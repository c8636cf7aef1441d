import type { Redis } from "ioredis";

import type { RedisConnection } from "../../functions/src/redis/connection";
import * as scripts from "../../functions/src/redis/lua.generated";
import type { RedisServers } from "../../functions/src/redis/redis-servers";

const CLOCK = 'redis.call("TIME")';
const SOURCES = new Map<string, string>(Object.values(scripts).map(({ sha1, source }) => [sha1, source]));

/**
 * A connection whose scripts, run by a real Redis, read a clock that the test holds in place of Redis's own. The time
 * should lie ahead, or keys expire at once.
 */
export function holdClock(redis: Redis, nowMs: () => number): RedisServers {
  const runFor = <T>(_key: string, command: (redis: Redis) => Promise<T>) =>
    command(heldClient(redis, nowMs));
  return { isCluster: false, runFor } as RedisServers;
}

/** A connection whose scripts read a clock that is ahead of Redis's. */
export function shiftClock(connection: RedisConnection, aheadMs: number): RedisConnection {
  // Not Date.now(), which tests set wrong.
  const nowMs = () => Math.floor(performance.timeOrigin + performance.now()) + aheadMs;
  const run: RedisConnection["run"] = (command, startedMs) =>
    connection.run((redis) => command(heldClient(redis, nowMs)), startedMs);
  return Object.assign(Object.create(connection) as RedisConnection, { run });
}

function heldClient(redis: Redis, nowMs: () => number): Redis {
  const evaluate =
    (command: "call" | "callBuffer") =>
    (sha1: string, ...rest: (string | number)[]) => {
      const source = SOURCES.get(sha1);
      if (source === undefined) throw new Error(`the script ${sha1} is not of this product`);
      const held = `{ ${Math.floor(nowMs() / 1000)}, ${(nowMs() % 1000) * 1000} }`;
      return redis[command]("EVAL", source.replace(CLOCK, held), ...rest.flat());
    };
  const evals: Readonly<Record<PropertyKey, unknown>> = {
    evalsha: evaluate("call"),
    evalshaBuffer: evaluate("callBuffer"),
  };
  return new Proxy(redis, {
    get: (target, name) =>
      evals[name] ?? (Reflect.get(target, name) as (...args: unknown[]) => unknown).bind(target),
  });
}
