import { Redis } from "ioredis";

/** A connection of the demo's own, to look at Redis. It waits out a server that is stopped and started again. */
export function connectRedis(port: number): Redis {
  const redis = new Redis({ host: "127.0.0.1", port, retryStrategy: () => 50 });
  redis.on("error", () => {}); // the demo stops Redis on purpose; what fails for good shows in what is measured
  return redis;
}
