import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";

import { status } from "@grpc/grpc-js";
import { Redis } from "ioredis";

import {
  RedisConnection,
  RedisUnavailableError,
  type RedisConnectionOptions,
} from "../../functions/src/redis/connection";
import type { ServerSettings } from "../../functions/src/redis/credentials";
import { secretReader } from "../../functions/src/redis/secret-manager";
import type { Secret } from "../../functions/src/secret";
import { freePorts } from "../../scripts/free-ports.mjs";
import { startRedis, type RedisServer } from "../../scripts/redis-server.mjs";
import { PATIENT_MS, SLACK_MS, untilItAnswers } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { startSecretManager, type SecretManagerServer } from "../harness/secret-manager-server.ts";
import { makeCertificates, type TlsCertificates } from "../harness/tls-certificates.ts";
import { waitFor } from "../harness/wait-for.ts";

/** Short, where a test waits for its end. */
const TIMEOUT_MS = 200;

const AUTH = "projects/p/secrets/auth";
const CA = "projects/p/secrets/ca";
const secret = (param: string, name: string, version = "latest"): Secret => ({
  param,
  version: `${name}/versions/${version}`,
});
const PASSWORD_SECRET = secret("REDIS_AUTH_SECRET", AUTH);
const CA_SECRET = secret("REDIS_CA_SECRET", CA);

let secretManager: SecretManagerServer;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  // What a process pays once for loading Google's library is not what these tests are about.
  const loader = await startSecretManager();
  loader.add(AUTH, "loaded");
  await secretReader(loader.host)([PASSWORD_SECRET]);
  await loader.stop();
});
beforeEach(async () => {
  secretManager = await startSecretManager();
  closing.push(() => secretManager.stop());
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type ConnectionSettings = Omit<ServerSettings, "host"> & Partial<RedisConnectionOptions>;

function connectTo(settings: ConnectionSettings) {
  const recorded = recordLogs();
  const options = { host: "127.0.0.1", timeoutMs: PATIENT_MS, ...settings };
  const connection = new RedisConnection(options, recorded.logs, secretReader(secretManager.host));
  closing.push(() => connection.close());
  return { connection, recorded, ping: () => connection.run((redis) => redis.ping()) };
}

const newPassword = () => `pw-${randomBytes(18).toString("hex")}`;

/** A server with a password, and a client of it that stays connected whatever happens to the password. */
async function serverWithPassword(
  password: string,
  args: string[] = [],
): Promise<{ server: RedisServer; admin: Redis }> {
  const server = await startRedis({ args: ["--requirepass", password, ...args] });
  closing.push(() => server.stop());
  const admin = new Redis({ host: "127.0.0.1", port: server.port, password });
  closing.push(() => admin.disconnect());
  return { server, admin };
}

/** Changes the password as an operator does, and ends all connections made with the old one, as time does. */
async function changePassword(admin: Redis, password: string): Promise<void> {
  await admin.config("SET", "requirepass", password);
  await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
}

/** Expects failure, no later than soon after the short time limit, without effect, and returns the error. */
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
  expect((error as RedisUnavailableError).outcome).toBe("not-executed");
  return error as RedisUnavailableError;
}

describe("AUTH", () => {
  test("the password is read once, by however many operations at once, without the line feed at its end", async () => {
    const password = newPassword();
    const { server } = await serverWithPassword(password);
    secretManager.add(AUTH, `${password}\n`);
    const { ping } = connectTo({ port: server.port, password: PASSWORD_SECRET });
    const first = await Promise.allSettled(Array.from({ length: 20 }, () => ping()));
    expect(first.map((result) => result.status)).toEqual(first.map(() => "fulfilled"));
    await ping();
    expect(secretManager.accessed).toEqual([PASSWORD_SECRET.version]);
  });

  test("host and port may be secrets too, and the password one of a certain version", async () => {
    const password = newPassword();
    const { server } = await serverWithPassword(password);
    // As editors and shells of Windows leave them.
    secretManager.add("projects/p/secrets/host", "\uFEFF127.0.0.1\r\n");
    secretManager.add("projects/p/secrets/port", ` ${server.port} \n`);
    secretManager.add(AUTH, `\uFEFF${password} \r\n`);
    secretManager.add(AUTH, "a newer one");
    const { ping } = connectTo({
      host: secret("REDIS_HOST", "projects/p/secrets/host"),
      port: secret("REDIS_PORT", "projects/p/secrets/port"),
      password: secret("REDIS_AUTH_SECRET", AUTH, "1"),
    });
    expect(await ping()).toBe("PONG");
  });

  test("a wrong password is an error that names the param, and the right one is found when it is there", async () => {
    const password = newPassword();
    const { server } = await serverWithPassword(password);
    secretManager.add(AUTH, "wrong");
    const { ping, recorded } = connectTo({ port: server.port, password: PASSWORD_SECRET });
    expect((await failure(ping)).message).toMatch(/: WRONGPASS .* \(REDIS_AUTH_SECRET\)$/);
    secretManager.add(AUTH, password);
    await untilItAnswers(ping);
    expect(recorded.events()).toEqual([
      "redis_unreachable",
      "redis_credentials_renewed",
      "redis_reachable_again",
    ]);
  });

  test("a password that is not set is an error that names the param", async () => {
    const { server } = await serverWithPassword(newPassword());
    const { ping, recorded } = connectTo({ port: server.port });
    expect((await failure(ping)).message).toMatch(/: NOAUTH .* \(REDIS_AUTH_SECRET\)$/);
    await failure(ping);
    expect(recorded.events()).toEqual(["redis_unreachable"]);
  });

  test("a connection that the server asks for the password again is opened anew, once, with what was sent answered", async () => {
    const password = newPassword();
    const { server, admin } = await serverWithPassword(password);
    secretManager.add(AUTH, password);
    const { connection, ping } = connectTo({ port: server.port, password: PASSWORD_SECRET });
    const clientId = () => connection.run((redis) => redis.client("ID") as Promise<number>);
    const before = await clientId();
    const connections = async () =>
      Number(/total_connections_received:(\d+)/.exec(await admin.info("stats"))![1]);
    const received = await connections();
    const quit = await connection.run((redis) => Promise.resolve(jest.spyOn(redis, "quit")));
    // The first reading was just now.
    await waitFor(
      async () => {
        const refused = () =>
          connection.run((redis) =>
            redis.eval('return redis.error_reply("NOAUTH Authentication required.")', 0),
          );
        await Promise.all(Array.from({ length: 20 }, () => failure(refused)));
        return (await clientId()) !== before;
      },
      { what: "another connection" },
    );
    expect(await ping()).toBe("PONG");
    expect(quit).toHaveBeenCalledTimes(1);
    // To make it can take a busy machine more than one attempt.
    expect(await connections()).toBeLessThan(received + 5);
  });
});

describe("rotation", () => {
  test("connections outlive a changed password; one that is made anew has the new password", async () => {
    const [old, next] = [newPassword(), newPassword()];
    const { server, admin } = await serverWithPassword(old);
    secretManager.add(AUTH, old);
    const { ping } = connectTo({ port: server.port, password: PASSWORD_SECRET });
    await ping();
    await admin.config("SET", "requirepass", next);
    expect(await ping()).toBe("PONG");
    secretManager.add(AUTH, next);
    await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await untilItAnswers(ping);
    expect(secretManager.accessed).toHaveLength(2);
  });

  test("while nothing changes, secrets are read at growing intervals, however much is asked", async () => {
    const { server } = await serverWithPassword(newPassword());
    secretManager.add(AUTH, "wrong");
    const { ping } = connectTo({ port: server.port, password: PASSWORD_SECRET });
    const start = performance.now();
    while (performance.now() - start < 4000) {
      await ping().catch(() => {});
      await new Promise(setImmediate);
    }
    // At 0, from 1 s on, and from 3 s on.
    expect(secretManager.accessed.length).toBeGreaterThanOrEqual(2);
    expect(secretManager.accessed.length).toBeLessThanOrEqual(3);
  });

  test("what was known stays in use while Secret Manager is away, which is logged with the param", async () => {
    const [old, next] = [newPassword(), newPassword()];
    const { server, admin } = await serverWithPassword(old);
    secretManager.add(AUTH, old);
    const { ping, recorded } = connectTo({ port: server.port, password: PASSWORD_SECRET });
    await ping();
    secretManager.fail(status.PERMISSION_DENIED);
    await changePassword(admin, next);
    const entry = await waitFor(() => recorded.entries.find(({ event }) => event === "secrets_unavailable"), {
      what: "the log entry",
    });
    expect(entry["error"]).toMatch(
      /^The secret projects\/p\/secrets\/auth\/versions\/latest \(REDIS_AUTH_SECRET\) cannot be read: 7 PERMISSION_DENIED/,
    );
    await changePassword(admin, old);
    await untilItAnswers(ping);
    await changePassword(admin, next);
    secretManager.add(AUTH, next);
    secretManager.fail(undefined);
    await untilItAnswers(ping);
  });
});

describe("Secret Manager", () => {
  test.each([
    ["is down", status.UNAVAILABLE],
    ["says nothing", "silent"],
  ] as const)(
    "that %s at the start costs no more than the time limit, and is asked again",
    async (_, how) => {
      const password = newPassword();
      const { server } = await serverWithPassword(password);
      secretManager.add(AUTH, password);
      secretManager.fail(how);
      const { ping, recorded } = connectTo({
        port: server.port,
        password: PASSWORD_SECRET,
        timeoutMs: TIMEOUT_MS,
      });
      await failure(ping);
      await failure(ping);
      secretManager.fail(undefined);
      await waitFor(async () => (await ping()) === "PONG", { what: "an answer", timeoutMs: 15_000 });
      const ofCircuit = /circuit/;
      expect(recorded.events().filter((event) => !ofCircuit.test(event))).toEqual([
        "redis_unreachable",
        "redis_reachable_again",
      ]);
    },
  );

  test("whose port nobody listens at is found once it is there", async () => {
    const password = newPassword();
    const { server } = await serverWithPassword(password);
    const port = Number(secretManager.host.split(":")[1]);
    await secretManager.stop();
    const { ping } = connectTo({ port: server.port, password: PASSWORD_SECRET, timeoutMs: TIMEOUT_MS });
    const error = await failure(ping);
    expect(error.message).toMatch(/REDIS_AUTH_SECRET\) cannot be read: 14 UNAVAILABLE|no reply within/);
    const started = await startSecretManager(port);
    closing.push(() => started.stop());
    started.add(AUTH, password);
    await untilItAnswers(ping);
  });

  test.each<[string, Secret["param"], string]>([
    ["host", "REDIS_HOST", "10.0.0.3 or so"],
    ["port", "REDIS_PORT", "65536"],
    ["password", "REDIS_AUTH_SECRET", "two\nlines"],
    ["ca", "REDIS_CA_SECRET", "no certificate"],
  ])(
    "that holds no valid %s is an error that names %s and does not show it",
    async (setting, param, value) => {
      secretManager.add("projects/p/secrets/s", value);
      const settings = { port: 1, tls: true, [setting]: secret(param, "projects/p/secrets/s") };
      const { ping } = connectTo(settings);
      await failure(ping);
      const error = await failure(ping);
      expect(error.message).toContain(
        `The secret projects/p/secrets/s/versions/latest (${param}) does not hold `,
      );
      expect(inspect(error, { depth: Infinity })).not.toContain(value);
    },
  );
});

describe("TLS", () => {
  let directory: string;
  let ours: TlsCertificates;
  let others: TlsCertificates;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "frq-tls-"));
    [ours, others] = [
      await makeCertificates(await mkdtemp(join(directory, "ours-"))),
      await makeCertificates(await mkdtemp(join(directory, "others-"))),
    ];
  });
  afterAll(() => rm(directory, { recursive: true }));

  /** A server with these certificates and a password; settings for connecting to it by TLS. */
  async function serverWith(certificates: TlsCertificates) {
    const [port] = (await freePorts(1)) as [number];
    const password = newPassword();
    const { server } = await serverWithPassword(password, certificates.serverArgs(port));
    secretManager.add(AUTH, password);
    return { server, settings: { port, tls: true, password: PASSWORD_SECRET } };
  }

  test("with the authority from a secret, and AUTH", async () => {
    const { settings } = await serverWith(ours);
    secretManager.add(CA, `\uFEFF${ours.ca}\r\n`);
    const { ping } = connectTo({ ...settings, ca: CA_SECRET });
    expect(await ping()).toBe("PONG");
  });

  test("a certificate of another authority is refused, until the secret has that one too", async () => {
    const { settings } = await serverWith(ours);
    secretManager.add(CA, others.ca);
    const { ping } = connectTo({ ...settings, ca: CA_SECRET });
    expect((await failure(ping)).message).toMatch(/certificate.* \(REDIS_TLS, REDIS_CA_SECRET\)$/);
    secretManager.add(CA, `${others.ca}${ours.ca}`);
    await untilItAnswers(ping);
  });

  test("without an authority of its own, a certificate must be one that Node.js trusts", async () => {
    const { settings } = await serverWith(ours);
    const { ping } = connectTo(settings);
    expect((await failure(ping)).message).toMatch(/certificate.* \(REDIS_TLS, REDIS_CA_SECRET\)$/);
  });

  test.each<[string, { names: string; commonName?: string }, boolean]>([
    [
      "no alternative names and this address as common name, as Memorystore's",
      { names: "", commonName: "127.0.0.1" },
      true,
    ],
    ["no alternative names and another common name", { names: "", commonName: "10.0.0.3" }, false],
    [
      "another alternative name and this common name",
      { names: "IP:10.0.0.3", commonName: "127.0.0.1" },
      false,
    ],
  ])("a certificate with %s", async (_, identity, accepted) => {
    const certificates = await makeCertificates(await mkdtemp(join(directory, "named-")), identity);
    const { settings } = await serverWith(certificates);
    secretManager.add(CA, certificates.ca);
    const { ping } = connectTo({ ...settings, ca: CA_SECRET });
    if (accepted) expect(await ping()).toBe("PONG");
    else expect((await failure(ping)).message).toMatch(/altnames.* \(REDIS_TLS, REDIS_CA_SECRET\)$/);
  });

  test("a server without TLS, and one with TLS asked without it, cost no more than the time limit", async () => {
    const { server, settings } = await serverWith(ours);
    secretManager.add(CA, ours.ca);
    const timeoutMs = TIMEOUT_MS;
    await failure(connectTo({ ...settings, ca: CA_SECRET, port: server.port, timeoutMs }).ping);
    await failure(connectTo({ ...settings, tls: false, timeoutMs }).ping);
  });
});

describe("nothing secret is shown", () => {
  test("in logs, errors and what is printed, whatever goes wrong", async () => {
    const printed: string[] = [];
    const methods = ["log", "info", "warn", "error", "debug"] as const;
    const spies = methods.map((method) =>
      jest
        .spyOn(console, method)
        .mockImplementation((...args) => void printed.push(inspect(args, { depth: null }))),
    );
    const stderr = jest
      .spyOn(process.stderr, "write")
      .mockImplementation((text) => !!printed.push(String(text)));
    closing.push(() => [...spies, stderr].forEach((spy) => spy.mockRestore()));

    const directory = await mkdtemp(join(tmpdir(), "frq-tls-"));
    closing.push(() => rm(directory, { recursive: true }));
    const certificates = await makeCertificates(directory);
    const [tlsPort] = (await freePorts(1)) as [number];
    const [right, password] = [newPassword(), newPassword()];
    const { server } = await serverWithPassword(right, certificates.serverArgs(tlsPort));
    const without = await startRedis();
    closing.push(() => without.stop());
    const renamed = await startRedis({ args: ["--rename-command", "AUTH", ""] });
    closing.push(() => renamed.stop());
    const full = await startRedis({ args: ["--maxmemory", "1"] });
    closing.push(() => full.stop());
    secretManager.add(AUTH, password);
    secretManager.add(CA, certificates.ca);
    secretManager.add("projects/p/secrets/misplaced", password);

    const shown: unknown[] = [];
    const attempt = async (settings: Parameters<typeof connectTo>[0]) => {
      const { connection, recorded, ping } = connectTo({ password: PASSWORD_SECRET, ...settings });
      for (const operation of [ping, ping, () => connection.run((redis) => redis.set("key", password))])
        await operation().catch((error: unknown) => shown.push(error, (error as Error).stack, String(error)));
      shown.push(recorded.entries);
    };
    await attempt({ port: server.port });
    await attempt({ port: without.port });
    await attempt({ port: renamed.port });
    await attempt({ port: full.port });
    await attempt({ port: 1 });
    await attempt({ port: tlsPort, tls: true, ca: CA_SECRET });
    await attempt({ port: tlsPort, tls: true });
    await attempt({ port: server.port, tls: true, ca: CA_SECRET });
    await attempt({
      port: server.port,
      host: secret("REDIS_HOST", "projects/p/secrets/misplaced-not-there"),
    });
    await attempt({ port: secret("REDIS_PORT", "projects/p/secrets/misplaced") });
    await attempt({
      port: server.port,
      tls: true,
      ca: secret("REDIS_CA_SECRET", "projects/p/secrets/misplaced"),
    });
    secretManager.fail(status.INTERNAL);
    await attempt({ port: server.port });

    expect(shown.length).toBeGreaterThan(30);
    const all = [...shown.map((each) => inspect(each, { depth: null, showHidden: true })), ...printed].join(
      "\n",
    );
    expect(all).toContain("WRONGPASS");
    expect(all).toContain("unknown command 'auth'");
    expect(all).not.toContain(password);
    for (const line of certificates.ca.split("\n").filter((each) => each.length > 40))
      expect(all).not.toContain(line);
    expect(all).not.toContain("BEGIN CERTIFICATE");
  });

  test("a connection's own parts keep them out of an error that something else throws", async () => {
    const password = `${randomUUID()}`;
    const { server } = await serverWithPassword(password);
    secretManager.add(AUTH, password);
    const { connection } = connectTo({ port: server.port, password: PASSWORD_SECRET });
    const error = await connection
      .run((redis) => redis.call("NO-SUCH-COMMAND", password))
      .catch((reason: unknown) => reason);
    expect(inspect(error, { depth: null, showHidden: true })).toMatch(/unknown command/);
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain(password);
  });
});
