import { connect, createServer, type AddressInfo } from "node:net";

import { RedisConnection, RedisUnavailableError } from "../../functions/src/redis/connection";
import { takeFixedWindow } from "../../functions/src/redis/lua.generated";
import { runScript } from "../../functions/src/redis/script";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { startHeldProxy } from "../harness/held-proxy.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

const TIMEOUT_MS = 200;
/** Room for a busy machine above the time limit. */
const SLACK_MS = 400;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function connectTo(port: number) {
  const recorded = recordLogs();
  const connection = new RedisConnection({ host: "127.0.0.1", port, timeoutMs: TIMEOUT_MS }, recorded.logs);
  closing.push(() => connection.close());
  return { connection, recorded, ping: () => connection.run((redis) => redis.ping()) };
}

async function ownRedis(): Promise<RedisServer> {
  const server = await startRedis();
  closing.push(() => server.stop());
  return server;
}

/** Expects failure within the time limit, and returns the error. */
async function failure(operation: () => Promise<unknown>): Promise<RedisUnavailableError> {
  const start = performance.now();
  const error = await operation().then(
    (answer) => {
      throw new Error(`answered ${String(answer)}`);
    },
    (reason: unknown) => reason,
  );
  expect(performance.now() - start).toBeLessThan(TIMEOUT_MS + SLACK_MS);
  expect(error).toBeInstanceOf(RedisUnavailableError);
  return error as RedisUnavailableError;
}

test("the first operation opens one connection, which all share", async () => {
  const { connection } = connectTo(testRedisPort());
  const ids = await Promise.all(
    Array.from({ length: 20 }, () => connection.run((redis) => redis.client("ID") as Promise<number>)),
  );
  expect(new Set(ids).size).toBe(1);
});

test("a port where nothing listens fails at once, naming address and params, and is logged once", async () => {
  const { ping, recorded } = connectTo(1);
  const error = await failure(ping);
  expect(error.message).toMatch(/127\.0\.0\.1:1 \(REDIS_HOST, REDIS_PORT\).*ECONNREFUSED/);
  expect(error.outcome).toBe("not-executed");
  for (let i = 0; i < 5; i++) await failure(ping);
  expect(recorded.events()).toEqual(["redis_unreachable"]);
});

test("a server that accepts and never answers costs no more than the time limit", async () => {
  const silent = await startHeldProxy(testRedisPort());
  closing.push(() => silent.close());
  const { ping } = connectTo(silent.port);
  expect((await failure(ping)).message).toContain(`no reply within ${TIMEOUT_MS} ms (REDIS_TIMEOUT_MS)`);
  await failure(ping);
});

test("a stopped server costs no more than the time limit, and answers again once it goes on", async () => {
  const server = await ownRedis();
  const { ping } = connectTo(server.port);
  expect(await ping()).toBe("PONG");
  await server.kill("SIGSTOP");
  expect((await failure(ping)).outcome).toBe("unknown");
  await server.kill("SIGCONT");
  await waitFor(async () => (await ping()) === "PONG", { what: "an answer after SIGCONT" });
});

test("a killed server fails at once, and the connection finds it again without a restart", async () => {
  const server = await ownRedis();
  const { ping, recorded } = connectTo(server.port);
  await ping();
  await server.kill("SIGKILL");
  await waitFor(() => recorded.events().includes("redis_unreachable"), { what: "the loss to be noticed" });
  expect((await failure(ping)).outcome).toBe("not-executed");
  await server.restart();
  await waitFor(async () => (await ping()) === "PONG", { what: "an answer after the restart" });
  expect(recorded.events()).toEqual(["redis_unreachable", "redis_reachable_again"]);
});

test("an operation that waited for the connection in vain is not run once it is there", async () => {
  const upstream = await ownRedis();
  const direct = connectRedis(upstream.port);
  closing.push(() => direct.disconnect());
  const proxy = await startHeldProxy(upstream.port);
  closing.push(() => proxy.close());

  const { connection, ping } = connectTo(proxy.port);
  const error = await failure(() => connection.run((redis) => redis.incr("counter")));
  expect(error.outcome).toBe("not-executed");
  proxy.release();
  await waitFor(async () => (await ping()) === "PONG", { what: "the connection" });
  expect(await direct.get("counter")).toBeNull();
});

test("an operation whose reply is lost is not sent again", async () => {
  const upstream = await ownRedis();
  const direct = connectRedis(upstream.port);
  closing.push(() => direct.disconnect());
  let cutAtReplyTo = "";
  const proxy = createServer((client) => {
    const server = connect(upstream.port, "127.0.0.1");
    let cut = false;
    client.on("data", (data) => {
      cut ||= cutAtReplyTo !== "" && data.includes(cutAtReplyTo);
      server.write(data);
    });
    server.on("data", (data) => (cut ? client.destroy() : client.write(data)));
    client.on("close", () => server.destroy()).on("error", () => server.destroy());
    server.on("error", () => client.destroy());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => proxy.once("listening", resolve));
  closing.push(() => proxy.close());

  const { connection, ping } = connectTo((proxy.address() as AddressInfo).port);
  await ping();
  cutAtReplyTo = "incr";
  const error = await failure(() => connection.run((redis) => redis.incr("counter")));
  expect(error.outcome).toBe("unknown");
  await waitFor(async () => (await ping()) === "PONG", { what: "the connection to come back" });
  expect(await direct.get("counter")).toBe("1");
});

test("after READONLY, as behind a failover, the connection is renewed", async () => {
  const [primary, replica] = [await ownRedis(), await ownRedis()];
  const control = connectRedis(replica.port);
  closing.push(() => control.disconnect());
  await control.replicaof("127.0.0.1", primary.port);
  const { connection } = connectTo(replica.port);
  const clientId = () => connection.run((redis) => redis.client("ID") as Promise<number>);
  const before = await clientId();
  const error = await failure(() => connection.run((redis) => redis.set("key", "1")));
  expect(error.outcome).toBe("not-executed");
  expect(error.message).toContain("READONLY");
  await waitFor(async () => (await clientId()) !== before, { what: "another connection" });
  await control.replicaof("NO", "ONE");
  expect(await connection.run((redis) => redis.set("key", "1"))).toBe("OK");
});

test("a full server refuses without effect", async () => {
  const server = await startRedis({ args: ["--maxmemory", "1"] });
  closing.push(() => server.stop());
  const { connection } = connectTo(server.port);
  const input = { counters: ["c"], cost: 1, charge: 1, limits: [10, 60_000] };
  const error = await failure(() => runScript(connection, takeFixedWindow, input));
  expect(error.message).toContain("OOM");
  expect(error.outcome).toBe("not-executed");
});

test("a script survives SCRIPT FLUSH", async () => {
  const server = await ownRedis();
  const direct = connectRedis(server.port);
  closing.push(() => direct.disconnect());
  const { connection } = connectTo(server.port);
  const input = { counters: [uniquePrefix()], cost: 1, charge: 1, limits: [10, 60_000] };
  const count = async () => ((await runScript(connection, takeFixedWindow, input)) as number[])[2];
  expect(await count()).toBe(1);
  await direct.script("FLUSH");
  expect(await count()).toBe(2);
});
