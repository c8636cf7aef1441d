import type { Redis } from "ioredis";

import type { Algorithm } from "../../functions/src/rate-limit/limit-algorithms";
import { checkPolicy } from "../../functions/src/rate-limit/policy";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { Keys } from "../../functions/src/redis/keys";
import { EPOCH_MS } from "../harness/rate-limit-case.ts";
import { holdClock } from "../harness/held-clock.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

let redis: Redis;
beforeAll(() => (redis = connectRedis()));
afterAll(() => redis.disconnect());

function doubles(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(8 * numbers.length);
  numbers.forEach((number, i) => bytes.writeDoubleLE(number, 8 * i));
  return bytes;
}

// Other versions of this product read and write these records at the same time, during an update and after a rollback.
test.each<[Algorithm, string, number, readonly [number, number], number, readonly [number, number]]>([
  ["fixed-window", "f60000", 3, [2, 0], 0, [3, 0]],
  ["sliding-window", "s60000", 10, [1, 5], 5, [2, 5]],
  ["token-bucket", "t60000", 6, [4 * 60_000, EPOCH_MS], 4, [2 * 60_000, EPOCH_MS + 30_000]],
])(
  "a count of a %s goes on from a record of %s",
  async (algorithm, shape, limit, before, remaining, after) => {
    const prefix = uniquePrefix();
    const generation = EPOCH_MS / 60_000;
    const hash = `${prefix}:{0}:r:p:${shape}:${generation % 2}`;
    await redis.hset(
      hash,
      "",
      Buffer.concat([doubles(generation), Buffer.alloc(64)]),
      "alice",
      doubles(...before),
    );
    const store = new RedisRateLimitStore(
      holdClock(redis, () => EPOCH_MS + 30_000),
      new Keys(prefix),
    );
    const { limits } = checkPolicy("p", { by: "uid", limits: [{ algorithm, limit, window: "1 m" }] });
    expect(await store.take(limits, "alice", { cost: 1, peek: false })).toMatchObject({
      allowed: true,
      remaining,
    });
    expect(await redis.hgetBuffer(hash, "alice")).toEqual(doubles(...after));
  },
);
