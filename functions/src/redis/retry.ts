import { ExponentialBackoff, handleType, retry } from "cockatiel";

import { RedisUnavailableError } from "./connection";

/**
 * For work that is safe to repeat and must not be lost, such as an event's: 12 attempts in about 20 s, or under 50 s if
 * each waits the longest REDIS_TIMEOUT_MS.
 */
export const untilRedisAnswers = retry(handleType(RedisUnavailableError), {
  maxAttempts: 11,
  backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 4000 }),
});
