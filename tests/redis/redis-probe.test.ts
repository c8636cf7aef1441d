import { RedisConnection } from "../../functions/src/redis/connection";
import { RedisProbe } from "../../functions/src/redis/redis-probe";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { Keys } from "../../functions/src/redis/keys";
import { uniquePrefix } from "../harness/test-redis.ts";
import { recordLogs } from "../harness/recorded-logs.ts";

let server: RedisServer;
let connection: RedisConnection;
let probe: RedisProbe;

beforeAll(async () => {
  server = await startRedis({ args: ["--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru"] });
  const { logs } = recordLogs();
  connection = new RedisConnection({ host: "127.0.0.1", port: server.port, timeoutMs: 2000 }, logs);
  probe = new RedisProbe(connection);
});

afterAll(async () => {
  connection.close();
  await server.stop();
});

test("tells what a server says of itself, and how long a PING takes", async () => {
  const status = await probe.status();
  expect(status).toMatchObject({
    reachable: true,
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
    topology: "standalone",
    role: "master",
    maxMemoryBytes: 64 * 1024 * 1024,
    evictionPolicy: "volatile-lru",
    evictedKeys: 0,
    connectedClients: 1,
    appendOnlyFile: false,
    connectedReplicas: 0,
  });
  const { latencyMs, usedMemoryBytes, maxClients } = status as Extract<typeof status, { reachable: true }>;
  expect(latencyMs).toBeGreaterThan(0);
  expect(usedMemoryBytes).toBeGreaterThan(100_000);
  expect(maxClients).toBeGreaterThan(100);
  expect(Math.abs(await probe.clockAheadMs())).toBeLessThan(1000);
  await expect(probe.runLua(new Keys(uniquePrefix()))).resolves.toBeUndefined();
});

test("that a server is away is a status too", async () => {
  await server.kill();
  expect(await probe.status()).toEqual({
    reachable: false,
    error: expect.stringMatching(/^Redis at 127\.0\.0\.1:\d+ .*gave no answer/) as string,
  });
});
