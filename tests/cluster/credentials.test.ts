import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { RedisCluster } from "../../functions/src/redis/cluster";
import { RedisUnavailableError } from "../../functions/src/redis/connection";
import type { ServerSettings } from "../../functions/src/redis/credentials";
import { secretReader } from "../../functions/src/redis/secret-manager";
import { freePorts } from "../../scripts/free-ports.mjs";
import { recordLogs } from "../harness/recorded-logs.ts";
import { startCluster, type TestCluster } from "../harness/redis-cluster.ts";
import { startSecretManager, type SecretManagerServer } from "../harness/secret-manager-server.ts";
import { makeCertificates } from "../harness/tls-certificates.ts";
import { waitFor } from "../harness/wait-for.ts";

const AUTH = "projects/p/secrets/auth";
const CA = "projects/p/secrets/ca";
const PASSWORD_SECRET = { param: "REDIS_AUTH_SECRET", version: `${AUTH}/versions/latest` };
const CA_SECRET = { param: "REDIS_CA_SECRET", version: `${CA}/versions/latest` };

const newPassword = () => `pw-${randomBytes(18).toString("hex")}`;
const PASSWORD = newPassword();
/** Keys of all masters. */
const KEYS = Array.from({ length: 12 }, (_, i) => `{${i}}`);

let secretManager: SecretManagerServer;
let servers: TestCluster;
let tlsPorts: number[];
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cluster-tls-"));
  // The certificate names the cluster by a name, and no node by its address.
  const certificates = await makeCertificates(directory, { names: "DNS:localhost" });
  tlsPorts = await freePorts(6);
  secretManager = await startSecretManager();
  secretManager.add(AUTH, PASSWORD);
  secretManager.add(CA, certificates.ca);
  servers = await startCluster({
    password: PASSWORD,
    argsOf: (node) => [
      ...["--requirepass", PASSWORD, "--masterauth", PASSWORD],
      ...["--tls-cluster", "yes", "--tls-replication", "yes"],
      ...certificates.serverArgs(tlsPorts[node]!),
    ],
  });
}, 40_000);

afterAll(async () => {
  await servers.stop();
  await secretManager.stop();
  await rm(directory, { recursive: true });
});

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

function connectTo(settings: Partial<ServerSettings>) {
  const recorded = recordLogs();
  const options = { host: "localhost", port: tlsPorts[0]!, timeoutMs: 2000, ...settings };
  const cluster = new RedisCluster(options, recorded.logs, secretReader(secretManager.host));
  closing.push(() => cluster.close());
  const writeAll = () => Promise.all(KEYS.map((key) => cluster.runFor(key, (redis) => redis.set(key, "1"))));
  return { recorded, writeAll };
}

async function failure(operation: Promise<unknown>): Promise<RedisUnavailableError> {
  const error: unknown = await operation.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RedisUnavailableError);
  return error as RedisUnavailableError;
}

test("with AUTH, and with TLS by the cluster's own authority, all masters are reached; each secret is read once", async () => {
  const { writeAll } = connectTo({ tls: true, ca: CA_SECRET, password: PASSWORD_SECRET });
  // Google's library is loaded for the first reading, which takes longer than an operation may.
  await waitFor(writeAll, { what: "the first answer" });
  expect(await writeAll()).toEqual(KEYS.map(() => "OK"));
  expect([...secretManager.accessed].sort()).toEqual([PASSWORD_SECRET.version, CA_SECRET.version]);
});

test("without the authority, or the password, the error names the param", async () => {
  const { writeAll } = connectTo({ tls: true, password: PASSWORD_SECRET });
  expect((await failure(writeAll())).message).toMatch(/certificate.* \(REDIS_TLS, REDIS_CA_SECRET\)$/);
  const open = connectTo({ tls: true, ca: CA_SECRET });
  expect((await failure(open.writeAll())).message).toMatch(/NOAUTH .* \(REDIS_AUTH_SECRET\)$/);
});

test("a changed password is found by the connections to all masters", async () => {
  const { recorded, writeAll } = connectTo({ tls: true, ca: CA_SECRET, password: PASSWORD_SECRET });
  await waitFor(writeAll, { what: "the first answer" });
  const before = secretManager.accessed.length;
  const next = newPassword();
  for (const { direct } of [...servers.masters, ...servers.replicas])
    await direct.config("SET", "requirepass", next, "masterauth", next);
  expect(await writeAll()).toEqual(KEYS.map(() => "OK"));
  secretManager.add(AUTH, next);
  for (const { direct } of servers.masters)
    await direct.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await waitFor(writeAll, { what: "an answer of all masters" });
  const renewed = recorded.entries.filter(({ event }) => event === "redis_credentials_renewed");
  // Each master's connection once. While all of them fail, the configured address is asked too, which is not a master's.
  const ofMasters = renewed
    .map(({ message }) => message)
    .filter((each) => each.includes(" of the cluster at "));
  expect(ofMasters).toHaveLength(3);
  expect(new Set(ofMasters).size).toBe(3);
  expect(renewed.length - ofMasters.length).toBeLessThanOrEqual(1);
  // Both secrets, once or, where the first reading came too soon, twice; not once for each master.
  expect(secretManager.accessed.length - before).toBeLessThanOrEqual(4);
});
