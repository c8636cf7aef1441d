import type { Redis } from "ioredis";

import type { Finding } from "../../functions/src/cli/finding";
import { startRedis } from "../../scripts/redis-server.mjs";
import {
  connect,
  startTarget,
  uniqueId,
  type FirestoreTarget,
} from "../emulator-firestore/firestore-target.ts";
import { runCommand } from "../harness/run-cli.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

/** What doctor finds of a server that is set up so. */
async function diagnose(
  args: readonly string[],
  prepare: (redis: Redis) => Promise<unknown> = () => Promise.resolve(),
): Promise<Finding[]> {
  const server = await startRedis({ args: [...args] });
  const direct = connectRedis(server.port);
  try {
    await prepare(direct);
    const environment = {
      REDIS_HOST: "127.0.0.1",
      REDIS_PORT: String(server.port),
      KEY_PREFIX: uniquePrefix(),
      QUOTA_COLLECTION_PATH: uniqueId(),
    };
    const firestore = () => connect(target.address, target.project);
    const { output, errors } = await runCommand(["--json", "doctor"], { environment, firestore });
    if (!output) throw new Error(errors);
    return JSON.parse(output) as Finding[];
  } finally {
    direct.disconnect();
    await server.stop();
  }
}

async function failSnapshot(redis: Redis): Promise<void> {
  await redis.bgsave();
  await waitFor(async () => (await redis.info("persistence")).includes("rdb_last_bgsave_status:err"), {
    what: "the snapshot to fail",
  });
}

test.each([
  ["NOREPLICAS", ["--min-replicas-to-write", "1"], undefined, "min-replicas-to-write"],
  ["OOM", ["--maxmemory", "1"], undefined, "make the instance larger"],
  ["READONLY", ["--replicaof", "127.0.0.1", "1"], undefined, "set REDIS_HOST to the primary endpoint"],
  ["MISCONF", ["--save", "3600 1", "--dir", "/proc"], failSnapshot, "stop-writes-on-bgsave-error"],
])(
  "doctor fails a server that refuses writes with %s, and says what to do",
  async (reply, args, prepare, todo) => {
    const findings = await diagnose(args, prepare);
    // A server that cannot save refuses PING, too, so that no script is tried.
    const refused = findings.find(({ check }) => check === (reply === "MISCONF" ? "Redis" : "Lua"));
    expect(refused).toMatchObject({ verdict: "fail", found: expect.stringContaining(reply) as string });
    expect(refused!.todo).toContain(todo);
  },
);

test("doctor has a finding for each command, and for keys, that the user may not use", async () => {
  const deny =
    (...rules: string[]) =>
    (redis: Redis) =>
      redis.call("ACL", "SETUSER", "default", ...rules);
  const commands = await diagnose([], deny("-scan", "-time", "-evalsha"));
  const denied = commands.filter(({ check }) => check === "ACL").map(({ found }) => found);
  expect(denied.map((found) => found.split(":")[0])).toEqual(["TIME", "SCAN", "EVALSHA"]);
  expect(denied[1]).toContain("'scan'");
  const keys = await diagnose([], deny("resetkeys", "~other:*"));
  expect(keys.find(({ check, found }) => check === "ACL" && found.startsWith("GET"))!.todo).toMatch(
    /ACL SETUSER default ~test-\w+:\*/,
  );
  const info = await diagnose([], deny("-ping"));
  expect(info.find(({ check }) => check === "Redis")!.found).toContain("'ping'");
}, 60_000);
