import { fork, type ChildProcess } from "node:child_process";
import path from "node:path";

import type { PolicyInput } from "../../functions/src/lib";
import { checkPolicies } from "../../functions/src/rate-limit/policy";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import type { Answers } from "../harness/limiter-process.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

const PROCESS = path.resolve(__dirname, "../harness/limiter-process.ts");
const PROCESSES = 3;
/** Of each process: 300 for each subject, which cost 600. */
const REQUESTS = 6000;
const SUBJECTS = 20;
/** More than one process asks for, and less than two do. */
const LIMIT = 1000;
const LARGER_LIMIT = 1500;

/** None refills or ends while the test runs. */
const window = "366 d";
const POLICIES: readonly PolicyInput[] = (
  [
    ["fixed-window"],
    ["sliding-window"],
    ["token-bucket"],
    ["fixed-window", "token-bucket"],
    ["token-bucket", "sliding-window"],
  ] as const
).map((algorithms) => ({
  name: algorithms.join("_"),
  by: "subject",
  limits: algorithms.map((algorithm, i) => ({ algorithm, limit: i === 0 ? LIMIT : LARGER_LIMIT, window })),
}));

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once("message", resolve as (message: unknown) => void);
    let errors = "";
    child.stderr!.on("data", (text: Buffer) => (errors += text.toString()));
    child.once("close", (code) => reject(new Error(`A process ended with ${code}: ${errors}`)));
  });
}

async function answersOfProcesses(prefix: string): Promise<Answers[]> {
  const args = [testRedisPort(), prefix, JSON.stringify(POLICIES), REQUESTS, SUBJECTS].map(String);
  const children = Array.from({ length: PROCESSES }, () =>
    fork(PROCESS, args, { execArgv: [], stdio: ["ignore", "ignore", "pipe", "ipc"] }),
  );
  try {
    await Promise.all(children.map(nextMessage));
    const answers = children.map((child) => nextMessage<Answers>(child));
    for (const child of children) child.send("begin");
    return await Promise.all(answers);
  } finally {
    for (const child of children) child.kill();
  }
}

test("of the requests of several processes the limit is allowed, each of its places is dealt once, and a larger limit is charged no more", async () => {
  const prefix = uniquePrefix();
  const server = { host: "127.0.0.1", port: testRedisPort(), timeoutMs: 60_000 };
  const connection = new RedisConnection(server, recordLogs().logs);
  const store = new RedisRateLimitStore(connection, new Keys(prefix));
  try {
    const answers = await answersOfProcesses(prefix);
    for (const policy of POLICIES) {
      const raised = checkPolicies([
        { ...policy, limits: policy.limits.map((each, i) => ({ ...each, ...(i === 0 && { limit: 9000 }) })) },
      ])[0]!.limits;
      for (let i = 0; i < SUBJECTS; i++) {
        const subject = `subject-${i}`;
        const dealt = answers.map((answer) => answer[policy.name]![subject]!);
        expect(dealt.filter(({ allowed }) => allowed.length > 0).length).toBeGreaterThan(1);
        const places = dealt
          .flatMap(({ allowed }) => allowed)
          .flatMap(({ cost, remaining }) => Array.from({ length: cost }, (_, place) => remaining + place))
          .sort((one, other) => one - other);
        const left = LIMIT - places.length;
        expect(places).toEqual(Array.from(places, (_, place) => left + place));
        expect(Math.min(...dealt.flatMap(({ refused }) => refused))).toBeGreaterThan(left);
        // Counts go on under other limits: the smaller one raised, the larger shows what it was charged.
        const most = policy.limits.length === 1 ? 9000 : LARGER_LIMIT;
        expect(await store.take(raised, subject, { cost: 1, peek: true })).toMatchObject({
          limit: most,
          remaining: most - places.length,
        });
      }
    }
  } finally {
    connection.close();
  }
}, 300_000);
