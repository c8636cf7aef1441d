import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

import type { PolicyInput } from "../../functions/src/lib";
import { testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

const PROCESS = path.resolve(__dirname, "../harness/limiter-process.ts");
const PROCESSES = 3;
const REQUESTS = 6000;
const SUBJECTS = 20;
const LIMIT = 500;

/** None refills or ends while the test runs. */
const POLICIES: readonly PolicyInput[] = (["fixed-window", "sliding-window", "token-bucket"] as const).map(
  (algorithm) => ({ name: algorithm, by: "subject", limits: [{ algorithm, limit: LIMIT, window: "366 d" }] }),
);

test("of the requests of several processes the limit is allowed, and each of its places is dealt once", async () => {
  const args = [PROCESS, testRedisPort(), uniquePrefix(), JSON.stringify(POLICIES), REQUESTS, SUBJECTS].map(
    String,
  );
  const answers = await Promise.all(
    Array.from({ length: PROCESSES }, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 25_000 });
      return JSON.parse(stdout.trim().split("\n").at(-1)!) as Record<string, Record<string, number[]>>;
    }),
  );
  const places = Array.from({ length: LIMIT }, (_, i) => i);
  for (const { name } of POLICIES) {
    for (let i = 0; i < SUBJECTS; i++) {
      const dealt = answers.flatMap((answer) => answer[name]![`subject-${i}`] ?? []);
      expect(dealt.sort((one, other) => one - other)).toEqual(places);
    }
    const served = answers.filter((answer) => Object.keys(answer[name]!).length > 0);
    expect(served.length).toBeGreaterThan(1);
  }
});
