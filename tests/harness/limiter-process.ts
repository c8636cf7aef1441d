/**
 * Asks for many decisions at once, in a process of its own.
 *
 *   node tests/harness/limiter-process.ts <redis port> <key prefix> <policies> <requests> <subjects>
 *
 * Prints on its last line, for each policy and subject, what each allowed request was told to remain:
 * `{policy: {subject: number[]}}`.
 */
import { createRedisQuota } from "../../functions/dist/lib.js";

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

const remaining: Record<string, Record<string, number[]>> = {};
for (const { name } of rateLimitPolicies) {
  const dealt: Record<string, number[]> = (remaining[name] = {});
  await Promise.all(
    Array.from({ length: Number(requests) }, async (_, i) => {
      const subject = `subject-${i % Number(subjects)}`;
      const decision = await limiter.check(name, subject);
      if (decision.source !== "redis") throw new Error(`decided by ${decision.source}`);
      if (decision.allowed) (dealt[subject] ??= []).push(decision.remaining);
    }),
  );
}
close();
console.log(JSON.stringify(remaining));
