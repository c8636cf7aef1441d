/**
 * Asks for many decisions at once, in a process of its own.
 *
 *   fork("tests/harness/limiter-process.ts", [redis port, key prefix, policies, requests, subjects])
 *
 * Says that it is ready, begins when it is told anything, and then tells of its {@link Answers}.
 */
import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";

import { createLogs } from "../../functions/dist/observability/logs.js";
import { checkPolicies } from "../../functions/dist/rate-limit/policy.js";
import { RedisRateLimitStore } from "../../functions/dist/rate-limit/redis-rate-limit-store.js";
import { RedisConnection } from "../../functions/dist/redis/connection.js";
import { Keys } from "../../functions/dist/redis/keys.js";

/** For each policy and subject: the allowed requests, and the costs of those that were refused. */
export type Answers = Record<
  string,
  Record<string, { allowed: { cost: number; remaining: number }[]; refused: number[] }>
>;

/** So many are asked in one turn of the event loop: more are asked while these are under way. */
const REQUESTS_PER_TURN = 60;

const [redisPort, keyPrefix, policies, requests, subjects] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
/** A busy machine takes seconds; a request without an answer may have been counted. */
const server = { host: "127.0.0.1", port: Number(redisPort), timeoutMs: 60_000 };
const connection = new RedisConnection(
  server,
  createLogs(() => {}),
);
const store = new RedisRateLimitStore(connection, new Keys(keyPrefix));
const rateLimitPolicies = checkPolicies(JSON.parse(policies));

const toldToBegin = once(process, "message");
await store.take(rateLimitPolicies[0]!.limits, "nobody", { cost: 1, peek: true });
process.send!("ready");
await toldToBegin;

const answers: Answers = {};
for (const { name, limits } of rateLimitPolicies) {
  const ofPolicy: Answers[string] = (answers[name] = {});
  const request = async (subject: string, cost: number) => {
    const { allowed, remaining } = await store.take(limits, subject, { cost, peek: false });
    const ofSubject = (ofPolicy[subject] ??= { allowed: [], refused: [] });
    if (allowed) ofSubject.allowed.push({ cost, remaining });
    else ofSubject.refused.push(cost);
  };
  const asked: Promise<void>[] = [];
  while (asked.length < Number(requests)) {
    const round = Math.floor(asked.length / Number(subjects));
    asked.push(request(`subject-${asked.length % Number(subjects)}`, 1 + (round % 3)));
    if (asked.length % REQUESTS_PER_TURN === 0) await nextTurn();
  }
  await Promise.all(asked);
}
connection.close();
process.send!(answers, () => process.disconnect());
