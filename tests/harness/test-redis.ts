import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";

/** The port of the Redis server that all tests of the `redis` project share. */
export function testRedisPort(): number {
  const port = process.env["FRQ_TEST_REDIS_PORT"];
  if (!port) throw new Error("Only tests in tests/redis have a Redis server.");
  return Number(port);
}

/** A client of the shared Redis server, or of the one at `port`. The test closes it. */
export function connectRedis(port = testRedisPort()): Redis {
  return new Redis({ host: "127.0.0.1", port });
}

/** A key prefix that no other test has, since tests share a server. */
export function uniquePrefix(): string {
  return `test-${randomUUID().slice(0, 8)}`;
}
