import { startRedis } from "../../scripts/redis-server.mjs";
import { stopAtTeardown } from "./started.ts";

/** Starts the one Redis server of tests/redis. */
export default async function setUp(): Promise<void> {
  const redis = await startRedis();
  stopAtTeardown("redis", redis);
  process.env["FRQ_TEST_REDIS_PORT"] = String(redis.port);
}
