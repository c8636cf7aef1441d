/**
 * Makes clients of the SDK and closes each at once, in a process of its own, which ends by itself when nothing is left.
 *
 *   fork("tests/harness/closing-process.ts", [options, rounds])
 */
import { setTimeout as sleep } from "node:timers/promises";

import { createRedisQuota } from "../../functions/dist/lib.js";

const [options, rounds] = process.argv.slice(2) as [string, string];
process.env["GCLOUD_PROJECT"] = "demo-unused";

for (let round = 0; round < Number(rounds); round++) {
  const { limiter, close } = createRedisQuota({
    ...(JSON.parse(options) as object),
    rateLimitPolicies: [
      { name: "p", by: "global", limits: [{ algorithm: "fixed-window", limit: 10, window: "1 d" }] },
    ],
    log: () => {},
  });
  const answer = limiter.check("p", "everybody");
  // Before the connection is made, while it is being made, and with the answer.
  if (round % 2 === 0) await sleep(round % 16);
  else await answer;
  close();
  await answer;
}
