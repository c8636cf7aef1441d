import { connect } from "node:net";
import { Redis } from "ioredis";

import { RedisConnection, RedisUnavailableError } from "../../functions/src/redis/connection";
import { blockSubject } from "../../functions/src/redis/lua.generated";
import { runScript } from "../../functions/src/redis/script";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { startFaultProxy, type FaultProxy, type FaultProxyOptions } from "../harness/fault-proxy.ts";
import { PATIENT_MS, SLACK_MS, untilItAnswers } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

/** Short, where a test waits for its end. */
const TIMEOUT_MS = 200;
/** Nobody waited for Redis: far below the time limit. */
const AT_ONCE_MS = 50;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function connectTo(port: number, timeoutMs = PATIENT_MS) {
  const recorded = recordLogs();
  const connection = new RedisConnection({ host: "127.0.0.1", port, timeoutMs }, recorded.logs);
  closing.push(() => connection.close());
  return { connection, recorded, ping: () => connection.run((redis) => redis.ping()) };
}

async function ownRedis(args: string[] = []): Promise<RedisServer> {
  const server = await startRedis({ args });
  closing.push(() => server.stop());
  return server;
}

function directTo(port: number): Redis {
  const client = connectRedis(port);
  closing.push(() => client.disconnect());
  return client;
}

/** A proxy before a server, which the test's end closes. */
async function proxyTo(port: number, options?: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = await startFaultProxy(port, options);
  closing.push(() => proxy.close());
  return proxy;
}

/** Expects failure, no later than soon after the short time limit, and returns the error. */
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

/** The typical time that an operation takes to fail; one alone may meet a pause of a busy machine. */
async function timeToFail(operation: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await failure(operation);
    times.push(performance.now() - start);
  }
  return times.sort((left, right) => left - right)[2]!;
}

test("the first operation opens one connection, which all share", async () => {
  const { connection } = connectTo(testRedisPort());
  const ids = await Promise.all(
    Array.from({ length: 20 }, () => connection.run((redis) => redis.client("ID") as Promise<number>)),
  );
  expect(new Set(ids).size).toBe(1);
});

test("1000 operations may be under way: one more is refused at once, and one that ends makes room", async () => {
  const { connection, ping } = connectTo(testRedisPort());
  await untilItAnswers(ping);
  const ends: (() => void)[] = [];
  const underWay = Array.from({ length: 1000 }, () =>
    connection.run(() => new Promise<void>((resolve) => ends.push(resolve))),
  );
  const error = await failure(ping);
  expect(error.outcome).toBe("not-executed");
  expect(error.message).toContain("Bulkhead capacity exceeded");
  ends[0]!();
  await underWay[0];
  expect(await ping()).toBe("PONG");
  for (const end of ends) end();
  await Promise.all(underWay);
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
  const silent = await proxyTo(testRedisPort());
  silent.set({ requests: "stall" });
  const { ping } = connectTo(silent.port, TIMEOUT_MS);
  expect((await failure(ping)).message).toContain(`no reply within ${TIMEOUT_MS} ms (REDIS_TIMEOUT_MS)`);
  await failure(ping);
});

test("a stopped server costs no more than the time limit, and answers again once it goes on", async () => {
  const server = await ownRedis();
  const { ping } = connectTo(server.port, TIMEOUT_MS);
  await untilItAnswers(ping);
  await server.kill("SIGSTOP");
  expect((await failure(ping)).outcome).toBe("unknown");
  await server.kill("SIGCONT");
  await untilItAnswers(ping);
});

test("a server that stays stopped costs the time limit for about a second, and then nothing", async () => {
  const server = await ownRedis();
  const { ping } = connectTo(server.port, TIMEOUT_MS);
  await untilItAnswers(ping);
  await server.kill("SIGSTOP");
  await waitFor(async () => (await timeToFail(ping)) < AT_ONCE_MS, {
    what: "operations to fail at once",
    timeoutMs: 4000,
  });
  expect((await failure(ping)).outcome).toBe("not-executed");
  expect(await timeToFail(ping)).toBeLessThan(AT_ONCE_MS);
});

test("a server that takes no connections costs the time limit for less than a second, and then nothing", async () => {
  const server = await ownRedis(["--tcp-backlog", "1"]);
  await server.kill("SIGSTOP");
  // The kernel accepts these in its place, until there is no room for more.
  for (let i = 0; i < 8; i++) {
    const waiting = connect(server.port, "127.0.0.1").on("error", () => {});
    closing.push(() => waiting.destroy());
  }
  const { ping } = connectTo(server.port, TIMEOUT_MS);
  await waitFor(async () => (await timeToFail(ping)) < AT_ONCE_MS, {
    what: "operations to fail at once",
    timeoutMs: 4000,
  });
});

/** Commands are sent in microtasks, which end before this does. */
const untilSent = () => new Promise<void>((resolve) => process.nextTick(resolve));

/** Keeps this process from reading, as a handler does that computes. */
function pause(ms: number): void {
  const startedMs = performance.now();
  while (performance.now() - startedMs < ms);
}

test("replies that arrive while this process pauses for longer than the time limit are answers", async () => {
  const { connection, ping, recorded } = connectTo(testRedisPort(), TIMEOUT_MS);
  await untilItAnswers(ping);
  const inOneCommand = Array.from({ length: 10 }, ping);
  // In two, one after the other, whose limit is one of both.
  const sinceMs = performance.now();
  const inTwo = Array.from({ length: 10 }, () => connection.run((redis) => redis.ping(), sinceMs));
  await untilSent();
  pause(2 * TIMEOUT_MS);
  expect(await Promise.all([...inOneCommand, ...inTwo])).toEqual(Array.from({ length: 20 }, () => "PONG"));
  expect(recorded.events()).toEqual([]);
});

test("an operation is not sent after a pause in which its time ended while the connection was made", async () => {
  const server = await ownRedis();
  const direct = directTo(server.port);
  const { connection, ping } = connectTo(server.port, TIMEOUT_MS);
  const { info } = Redis.prototype;
  // The last thing that is asked before a connection is ready.
  jest.spyOn(Redis.prototype, "info").mockImplementationOnce(function (this: Redis, ...args: []) {
    const reply = info.apply(this, args);
    pause(2 * TIMEOUT_MS);
    return reply;
  });
  const error = await failure(() => connection.run((redis) => redis.incr("counter")));
  expect(error.outcome).toBe("not-executed");
  await untilItAnswers(ping);
  expect(await direct.get("counter")).toBeNull();
});

test("a script's text is not sent after a pause in which its time ended", async () => {
  const server = await ownRedis();
  const direct = directTo(server.port);
  const { connection, ping } = connectTo(server.port, TIMEOUT_MS);
  await untilItAnswers(ping);
  const input = { blocks: "blocks", subject: "alice", untilMs: Date.now() + 60_000 };
  const failed = failure(() => runScript(connection, blockSubject, input, String));
  await untilSent();
  pause(2 * TIMEOUT_MS);
  expect((await failed).outcome).toBe("not-executed");
  await untilItAnswers(ping);
  expect(await direct.exists("blocks")).toBe(0);
});

test("what an operation waits for ends too, soon after its caller has gone", async () => {
  const server = await ownRedis();
  const { connection, ping } = connectTo(server.port, TIMEOUT_MS);
  await untilItAnswers(ping);
  await server.kill("SIGSTOP");
  const start = performance.now();
  const ended = new Promise<number>((resolve) => {
    const work = async (redis: Redis) => {
      await redis.ping().finally(() => resolve(performance.now() - start));
    };
    void failure(() => connection.run(work)).catch(() => {});
  });
  expect(await ended).toBeLessThan(TIMEOUT_MS + SLACK_MS);
});

test("a killed server fails at once with the cause, and the connection finds it again without a restart", async () => {
  const server = await ownRedis();
  const { ping, recorded } = connectTo(server.port);
  await ping();
  await server.kill("SIGKILL");
  await waitFor(() => recorded.events().includes("redis_unreachable"), { what: "the loss to be noticed" });
  const error = await failure(ping);
  expect(error.outcome).toBe("not-executed");
  expect(error.message).toMatch(/gave no answer: .*ECONNREFUSED/);
  expect(await timeToFail(ping)).toBeLessThan(AT_ONCE_MS);
  await server.restart();
  await untilItAnswers(ping);
  expect(recorded.events()).toEqual(["redis_unreachable", "redis_reachable_again"]);
});

test("an operation that waited for the connection in vain is not run once it is there", async () => {
  const upstream = await ownRedis();
  const direct = directTo(upstream.port);
  const proxy = await proxyTo(upstream.port);
  proxy.set({ requests: "stall" });
  const { connection, ping } = connectTo(proxy.port, TIMEOUT_MS);
  const error = await failure(() => connection.run((redis) => redis.incr("counter")));
  expect(error.outcome).toBe("not-executed");
  proxy.heal();
  await untilItAnswers(ping);
  expect(await direct.get("counter")).toBeNull();
});

test("an operation whose reply is lost is not sent again", async () => {
  const upstream = await ownRedis();
  const direct = directTo(upstream.port);
  const proxy = await proxyTo(upstream.port);
  const { connection, ping } = connectTo(proxy.port);
  await ping();
  proxy.cutReplyTo(/incr/);
  const error = await failure(() => connection.run((redis) => redis.incr("counter")));
  expect(error.outcome).toBe("unknown");
  await untilItAnswers(ping);
  expect(await direct.get("counter")).toBe("1");
});

test("after READONLY, as behind a failover, the connection is renewed", async () => {
  const [primary, replica] = [await ownRedis(), await ownRedis()];
  const control = directTo(replica.port);
  await control.replicaof("127.0.0.1", primary.port);
  const { connection } = connectTo(replica.port);
  const clientId = () => connection.run((redis) => redis.client("ID") as Promise<number>);
  const before = await clientId();
  const error = await failure(() => connection.run((redis) => redis.set("key", "1")));
  expect(error.outcome).toBe("not-executed");
  expect(error.message).toContain("READONLY");
  await waitFor(async () => (await clientId()) !== before, { what: "another connection" });
  await control.replicaof("NO", "ONE");
  // CLIENT is answered before the connection is ready for other commands.
  const write = () => connection.run((redis) => redis.set("key", "1"));
  expect(await waitFor(write, { what: "the write" })).toBe("OK");
});

test("after MASTERDOWN, as of a replica without its primary, the connection is renewed", async () => {
  const server = await ownRedis(["--replica-serve-stale-data", "no", "--replicaof", "127.0.0.1", "1"]);
  const { connection } = connectTo(server.port);
  const clientId = () => connection.run((redis) => redis.client("ID") as Promise<number>);
  const before = await clientId();
  const error = await failure(() => connection.run((redis) => redis.get("key")));
  expect(error.message).toContain("MASTERDOWN");
  expect(error.outcome).toBe("not-executed");
  await waitFor(async () => (await clientId()) !== before, { what: "another connection" });
});

/** Lets the server reply with an error of its own choice. */
const replyWith = (error: string) => (redis: Redis) => redis.eval(`return redis.error_reply("${error}")`, 0);

test("after LOADING the connection is renewed; after other errors it is kept", async () => {
  const { connection } = connectTo(testRedisPort());
  const clientId = () => connection.run((redis) => redis.client("ID") as Promise<number>);
  const before = await clientId();
  for (const error of ["ERR of another kind", "ERR READONLY is not its first word"]) {
    await failure(() => connection.run(replyWith(error)));
    expect(await clientId()).toBe(before);
  }
  await failure(() => connection.run(replyWith("LOADING Redis is loading the dataset in memory")));
  await waitFor(async () => (await clientId()) !== before, { what: "another connection" });
});

test("any number of READONLY replies at once renew the connection once", async () => {
  const server = await ownRedis();
  const direct = directTo(server.port);
  const connections = async () =>
    Number(/total_connections_received:(\d+)/.exec(await direct.info("stats"))![1]);
  const { connection, ping } = connectTo(server.port);
  const disconnect = await connection.run((redis) => Promise.resolve(jest.spyOn(redis, "disconnect")));
  const before = await connections();
  const readonly = replyWith("READONLY You can't write against a read only replica.");
  await Promise.all(Array.from({ length: 40 }, () => failure(() => connection.run(readonly))));
  await untilItAnswers(ping);
  expect(disconnect).toHaveBeenCalledTimes(1);
  // To make it can take a busy machine more than one attempt.
  expect(await connections()).toBeLessThan(before + 5);
});

test("a server that keeps a renewed connection open does not hold up the next", async () => {
  const upstream = await ownRedis();
  const { port } = await proxyTo(upstream.port, { staysOpen: true });
  const { connection, ping } = connectTo(port, TIMEOUT_MS);
  await untilItAnswers(ping);
  await failure(() => connection.run(replyWith("READONLY You can't write against a read only replica.")));
  await waitFor(async () => (await ping()) === "PONG", { what: "another connection", timeoutMs: 1500 });
});

test("nothing is sent once the time is up, where a script's text follows upon its hash", async () => {
  const upstream = await ownRedis();
  const direct = directTo(upstream.port);
  const sent: string[] = [];
  const timeoutMs = 1000;
  const proxy = await proxyTo(upstream.port);
  proxy.set({
    requests(data) {
      sent.push(data.toString());
      return "pass";
    },
    // Connecting takes a part of the time, so that the script's own time limit ends later than its caller's.
    replies: (data) =>
      data.includes("NOSCRIPT") ? "stall" : { delayMs: data.includes("redis_version") ? timeoutMs * 0.4 : 0 },
  });
  const { connection } = connectTo(proxy.port, timeoutMs);
  const input = { blocks: "blocks", subject: "alice", untilMs: Date.now() + 60_000 };
  const error = await failure(() => runScript(connection, blockSubject, input, String));
  expect(error.outcome).toBe("unknown");
  proxy.heal();
  await new Promise((resolve) => setTimeout(resolve, timeoutMs));
  expect(sent.filter((request) => request.includes("evalsha"))).toHaveLength(1);
  expect(sent.filter((request) => /\beval\b/.test(request))).toEqual([]);
  expect(await direct.exists("blocks")).toBe(0);
});

test("a full server refuses without effect", async () => {
  const server = await startRedis({ args: ["--maxmemory", "1"] });
  closing.push(() => server.stop());
  const { connection } = connectTo(server.port);
  const input = { blocks: "blocks", subject: "alice", untilMs: Date.now() + 60_000 };
  const error = await failure(() => runScript(connection, blockSubject, input, String));
  expect(error.message).toContain("OOM");
  expect(error.outcome).toBe("not-executed");
});

test("a script survives SCRIPT FLUSH", async () => {
  const server = await ownRedis();
  const direct = directTo(server.port);
  const { connection } = connectTo(server.port);
  const write = async () => {
    const blocks = uniquePrefix();
    const input = { blocks, subject: "alice", untilMs: Date.now() + 60_000 };
    await runScript(connection, blockSubject, input, String);
    return direct.exists(blocks);
  };
  expect(await write()).toBe(1);
  await direct.script("FLUSH");
  expect(await write()).toBe(1);
});
