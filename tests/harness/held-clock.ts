import type { Redis } from "ioredis";

import * as scripts from "../../functions/src/redis/lua.generated";
import type { RedisServers } from "../../functions/src/redis/redis-servers";

const CLOCK = 'redis.call("TIME")';

/**
 * A connection whose scripts, run by a real Redis, read a clock that the test holds in place of Redis's own. The time
 * should lie ahead, or keys expire at once.
 */
export function holdClock(redis: Redis, nowMs: () => number): RedisServers {
  const sources = new Map<string, string>(Object.values(scripts).map(({ sha1, source }) => [sha1, source]));
  const evaluate = (sha1: string, ...rest: (string | number)[]) => {
    const source = sources.get(sha1);
    if (source === undefined) throw new Error(`the script ${sha1} is not of this product`);
    const held = `{ ${Math.floor(nowMs() / 1000)}, ${(nowMs() % 1000) * 1000} }`;
    return redis.callBuffer("EVAL", source.replace(CLOCK, held), ...rest);
  };
  const client = new Proxy(redis, {
    get: (target, name) =>
      name === "evalsha" || name === "evalshaBuffer"
        ? evaluate
        : (Reflect.get(target, name) as (...args: unknown[]) => unknown).bind(target),
  });
  const runFor = <T>(_key: string, command: (redis: Redis) => Promise<T>) => command(client);
  return { isCluster: false, runFor } as RedisServers;
}
