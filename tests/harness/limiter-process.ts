/**
 * Asks for many decisions at once, in a process of its own.
 *
 *   fork("tests/harness/limiter-process.ts", [redis port, key prefix, policies, requests, subjects])
 *
 * Says that it is ready, begins when it is told anything, and then tells of its {@link Answers}.
 */
import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";

import { createRedisQuota } from "../../functions/dist/lib.js";

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
const rateLimitPolicies = JSON.parse(policies) as { name: string }[];
process.env["GCLOUD_PROJECT"] = "demo-unused";
const { limiter, close } = createRedisQuota({
  redisHost: "127.0.0.1",
  redisPort: Number(redisPort),
  redisTimeoutMs: 2000,
  keyPrefix,
  rateLimitPolicies: rateLimitPolicies as never,
});

const toldToBegin = once(process, "message");
await limiter.check(rateLimitPolicies[0]!.name, "nobody", { peek: true });
process.send!("ready");
await toldToBegin;

const answers: Answers = {};
for (const { name } of rateLimitPolicies) {
  const ofPolicy: Answers[string] = (answers[name] = {});
  const request = async (subject: string, cost: number) => {
    const { allowed, remaining, source } = await limiter.check(name, subject, { cost });
    if (source !== "redis") throw new Error(`decided by ${source}`);
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
close();
process.send!(answers, () => process.disconnect());
