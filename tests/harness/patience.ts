import { RedisConnection } from "../../functions/src/redis/connection";
import { recordLogs } from "./recorded-logs.ts";
import { testRedisPort } from "./test-redis.ts";
import { waitFor } from "./wait-for.ts";

/** Limit of an operation that must be answered: longer than a busy machine takes. */
export const PATIENT_MS = 5000;

/** Room for a busy machine above a time limit whose end a test waits for. */
export const SLACK_MS = 1500;

/** A connection to the shared Redis server, or to the one at `port`, whose answers a test needs. The test closes it. */
export function connectPatiently(port = testRedisPort()): RedisConnection {
  return new RedisConnection({ host: "127.0.0.1", port, timeoutMs: 2000 }, recordLogs().logs);
}

/** Waits until a PING is answered. */
export const untilItAnswers = (ping: () => Promise<string>) =>
  waitFor(async () => (await ping()) === "PONG", { what: "an answer" });
