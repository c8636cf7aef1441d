import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { RedisQuotaOptions } from "../../functions/src/lib";
import { freePorts } from "../../scripts/free-ports.mjs";
import { startRedis } from "../../scripts/redis-server.mjs";
import { testRedisPort, uniquePrefix } from "../harness/test-redis.ts";
import { makeCertificates } from "../harness/tls-certificates.ts";

const PROCESS = join(__dirname, "../harness/closing-process.ts");

/** Far longer than a process takes that has nothing left to do. */
const END_MS = 30_000;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** The exit code of a process that closes clients, and what it wrote on stderr; null if it has not ended. */
function closeClients(
  options: Partial<RedisQuotaOptions>,
  rounds: number,
): Promise<{ exitCode: number | null; errors: string }> {
  const settings = { redisHost: "127.0.0.1", redisTimeoutMs: 500, keyPrefix: uniquePrefix(), ...options };
  const child = fork(PROCESS, [JSON.stringify(settings), String(rounds)], {
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let errors = "";
  child.stderr!.on("data", (data: Buffer) => (errors += data.toString()));
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    child.once("close", (exitCode) => {
      clearTimeout(timer);
      resolve({ exitCode, errors });
    });
  });
}

const ENDED = { exitCode: 0, errors: "" };

test("a process ends after close, with calls in progress, on a server that knows no script yet", async () => {
  const server = await startRedis();
  closing.push(() => server.stop());
  // The first instance in a process shares its first counts without waiting for them.
  for (const rounds of [1, 2, 20])
    expect(await closeClients({ redisPort: server.port }, rounds)).toEqual(ENDED);
}, 90_000);

test.each<[string, number | (() => Promise<number>)]>([
  ["is dead", 1],
  ["never answers", silentPort],
])(
  "a process ends after close where the server %s",
  async (_, port) => {
    const redisPort = typeof port === "number" ? port : await port();
    expect(await closeClients({ redisPort }, 4)).toEqual(ENDED);
  },
  60_000,
);

async function silentPort(): Promise<number> {
  const server: Server = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

test.each<[string, string[]]>([
  ["of an unknown CA", []],
  ["that demands a client certificate", ["--tls-auth-clients", "yes"]],
])(
  "a TLS connection to a server %s that fails while it is closed does not end the process",
  async (_, args) => {
    const directory = await mkdtemp(join(tmpdir(), "frq-close-"));
    closing.push(() => rm(directory, { recursive: true }));
    const certificates = await makeCertificates(directory);
    const [port] = (await freePorts(1)) as [number];
    const server = await startRedis({ args: [...certificates.serverArgs(port), ...args] });
    closing.push(() => server.stop());
    expect(await closeClients({ redisPort: port, redisTls: true }, 60)).toEqual(ENDED);
  },
  60_000,
);

test("a client that was closed connects again at the next call", async () => {
  const { createRedisQuota } = await import("../../functions/src/lib");
  const { limiter, close } = createRedisQuota({
    redisHost: "127.0.0.1",
    redisPort: testRedisPort(),
    redisTimeoutMs: 2000,
    keyPrefix: uniquePrefix(),
    rateLimitPolicies: [
      { name: "p", by: "global", limits: [{ algorithm: "fixed-window", limit: 10, window: "1 d" }] },
    ],
    log: () => {},
  });
  closing.push(close);
  expect(await limiter.check("p", "everybody")).toMatchObject({ source: "redis", remaining: 9 });
  const inProgress = limiter.check("p", "everybody");
  close();
  await inProgress;
  expect(await limiter.check("p", "everybody")).toMatchObject({ source: "redis" });
});
