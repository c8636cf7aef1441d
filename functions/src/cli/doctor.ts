import type { Command } from "commander";

import { ConfigError, parseConfig, parseServiceConfig, type ServiceConfig } from "../config/config";
import type { ParamValues } from "../config/param-specs";
import { Keys } from "../redis/keys";
import type { RedisInfo } from "../redis/redis-probe";
import type { Services } from "../services";
import { secretReader } from "../redis/secret-manager";
import type { Secret } from "../secret";
import type { Cli } from "./cli";
import { checkCloud, cloudByHand } from "./doctor-cloud";
import { checkFallback, checkFirestore, checkInstallation, checkRollback } from "./doctor-firestore";
import { attempt, describeFindings, fail, hasFailed, pass, warn, type Finding } from "./finding";

const PINGS = 100;

const MIB = 1024 * 1024;
const PRIVATE_ADDRESS = /^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|::1$|f[cd]|localhost$)/i;

/** `doctor`: the checks before a migration, made. */
export function addDoctor(program: Command, cli: Cli): void {
  const command = program
    .command("doctor")
    .description("Check params, Redis, Firestore and the fallback, and say what to do.")
    .option("--cloud", "also ask Google Cloud for the connector, the instance, monitoring, alerts and roles")
    .option("--service-account <email>", "whose roles --cloud looks at: the functions' account")
    .addHelpText(
      "after",
      "\nRun it in the network of the functions: Memorystore has a private address." +
        "\n\nExamples:\n  npx firestore-redis-quota doctor --env-file extensions/quota.env" +
        "\n  npx firestore-redis-quota doctor --cloud --project my-project --json",
    )
    .action(
      async ({ cloud, serviceAccount }: { readonly cloud?: boolean; readonly serviceAccount?: string }) => {
        const params = cli.params(command);
        const { findings } = await diagnose(cli, command, params);
        const account = { params, project: cli.project(command, params), serviceAccount };
        findings.push(...(cloud ? await checkCloud(cli.cloud(), account) : cloudByHand(account)));
        cli.failed = hasFailed(findings);
        cli.print(command, findings, () => describeFindings(findings));
      },
    );
}

/** What a check-up has found, and what it was made with, if the params could be read. */
export interface Diagnosis {
  readonly findings: Finding[];
  readonly services?: Services;
  /** Providers with a valid quota, of those that were looked at. */
  readonly providerIds: readonly string[];
}

/** Checks params, Redis, Firestore and the fallback. */
export async function diagnose(cli: Cli, command: Command, params: ParamValues): Promise<Diagnosis> {
  const findings = checkParams(params);
  const config = readable(params);
  if (!config) return { findings, providerIds: [] };
  const services = cli.open(config, command, { quiet: true });
  const firestore = await checkFirestore(config, services);
  const nowhere = { ...config, redis: { ...config.redis, host: "127.0.0.1", port: 1 } };
  const withoutRedis = cli.open(nowhere, command, { quiet: true });
  findings.push(
    ...(await checkSecrets(config, cli)),
    ...(await checkRedis(config, services)),
    ...firestore.findings,
    await checkFallback(withoutRedis, firestore.providerIds[0]),
    await checkRollback(services),
  );
  return { findings, services, providerIds: firestore.providerIds };
}

function checkParams(params: ParamValues): Finding[] {
  try {
    const { location, rateLimit } = parseConfig(params);
    const { policies } = rateLimit;
    const found = policies instanceof ConfigError ? badParams(policies) : [pass("params", "all valid")];
    return [...found, reachOfNetwork(params, location)];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return badParams(error);
  }
}

function badParams({ problems }: ConfigError): Finding[] {
  return problems.map(({ param, problem }) =>
    fail(param === "VPC_CONNECTOR" ? "VPC connector" : "params", problem, `Correct ${param}.`),
  );
}

function reachOfNetwork(params: ParamValues, location: string): Finding {
  const network = params.VPC_NETWORK || params.VPC_SUBNETWORK;
  if (network) return pass("VPC network", `${network.split("/").at(-1)}, in which the kit's functions are`);
  const connector = params.VPC_CONNECTOR?.split("/").at(-1);
  if (!connector) {
    return warn(
      "VPC connector",
      "none, and no VPC network: the functions reach public addresses only",
      "Set VPC_NETWORK or VPC_CONNECTOR, unless Redis has a public endpoint with TLS.",
    );
  }
  return pass("VPC connector", `${connector}, in ${location} like the functions`);
}

function readable(params: ParamValues): ServiceConfig | undefined {
  try {
    return parseServiceConfig(params);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** Reads each secret that a param names, as the functions will. */
async function checkSecrets({ redis }: ServiceConfig, cli: Cli): Promise<Finding[]> {
  const settings: (Secret | number | string | undefined)[] = [
    redis.host,
    redis.port,
    redis.password,
    redis.ca,
  ];
  const secrets = settings.filter((setting) => typeof setting === "object");
  if (secrets.length === 0) return [pass("secrets", "none named: host and port are in the params")];
  const read = secretReader(cli.secretManagerHost);
  return Promise.all(
    secrets.map((secret) =>
      attempt(
        "secrets",
        () => read([secret]),
        `${secret.param} can be read`,
        "Make the secret, and grant secretmanager.secretAccessor to the functions' account and who runs this.",
      ),
    ),
  );
}

async function checkRedis(config: ServiceConfig, services: Services): Promise<Finding[]> {
  const { redisProbe } = services;
  const status = await redisProbe.status();
  if (!status.reachable) return [unreachable(status.error)];
  const from = await redisProbe.seenFrom();
  const asked = from === undefined ? "" : `, asked from ${from}`;
  const keys = new Keys(config.redis.keyPrefix);
  const denied = await redisProbe.deniedCommands(keys);
  return [
    pass("Redis", `answers at ${redisProbe.address}${asked}`),
    ...denied.map((each) => fail("ACL", each, allow(config))),
    await checkLatency(config, services),
    ...assessRedis(status, config.quota.mode, config.redis.topology),
    assessAccess(config.redis),
    ...(denied.some((each) => each.startsWith("TIME")) ? [] : [assessClock(await redisProbe.clockAheadMs())]),
    await checkInstallation(services, allow(config)),
    // Last, because after some replies the connection is made again.
    await checkWrites(config, () => redisProbe.runLua(keys)),
  ];
}

const allow = ({ redis }: ServiceConfig) =>
  `Allow the Redis user this command on these keys: ACL SETUSER default ~${redis.keyPrefix}:* ~${Keys.INSTALLATIONS} +@all.`;

/** Why a server refuses to write, by the first word of its reply. */
const WRITE_REMEDIES: readonly (readonly [reply: RegExp, remedy: string])[] = [
  [/\bNOREPLICAS\b/, "Start the missing replicas, or lower min-replicas-to-write."],
  [/\bMISCONF\b/, "Redis cannot save to disk: free disk space, or set stop-writes-on-bgsave-error to no."],
  [/\bOOM\b/, "Redis is full: make the instance larger, or raise maxmemory."],
  [/\bREADONLY\b/, "This is a replica: set REDIS_HOST to the primary endpoint."],
];

/** Every decision is a script that writes. */
async function checkWrites(config: ServiceConfig, write: () => Promise<void>): Promise<Finding> {
  try {
    await write();
    return pass("Lua", `runs, and writes under ${config.redis.keyPrefix}`);
  } catch (error) {
    const { message } = error as Error;
    return fail("Lua", message, writeRemedy(message) ?? allow(config));
  }
}

function writeRemedy(error: string): string | undefined {
  return WRITE_REMEDIES.find(([reply]) => reply.test(error))?.[1];
}

function unreachable(error: string): Finding {
  if (/cluster support disabled/.test(error))
    return fail(
      "topology",
      "standalone, while REDIS_TOPOLOGY is cluster",
      "Set REDIS_TOPOLOGY to standalone, or take the address of a Redis Cluster.",
    );
  if (/NOAUTH|WRONGPASS/.test(error))
    return fail("Redis", error, "Check the password that REDIS_AUTH_SECRET names, and that AUTH is on.");
  if (/REDIS_TLS/.test(error))
    return fail("Redis", error, "Check REDIS_TLS, and the certificate that REDIS_CA_SECRET names.");
  if (/NOPERM/.test(error))
    return fail("Redis", error, "Allow the Redis user this command: ACL SETUSER default +@all.");
  if (/Secret Manager|The secret/.test(error))
    return fail(
      "Redis",
      error,
      "Check the secrets, and the role secretmanager.secretAccessor of who runs this.",
    );
  return fail(
    "Redis",
    error,
    // A server that cannot save refuses PING, too.
    writeRemedy(error) ??
      "Check REDIS_HOST and REDIS_PORT, that the instance is READY, REDIS_TLS if it has in-transit encryption, and that this machine is in its network.",
  );
}

/** What keeps strangers out of Redis. */
export function assessAccess({ host, password, tls }: ServiceConfig["redis"]): Finding {
  const found = `AUTH ${password ? "on" : "off"}, TLS ${tls ? "on" : "off"}`;
  if (password && tls) return pass("AUTH and TLS", found);
  if (typeof host === "object" || PRIVATE_ADDRESS.test(host))
    return pass("AUTH and TLS", `${found}, behind a private address`);
  return warn(
    "AUTH and TLS",
    `${found}, and ${host} is no private address`,
    "Switch both on (REDIS_AUTH_SECRET, REDIS_TLS), or let nobody but the functions' network reach it.",
  );
}

async function checkLatency(config: ServiceConfig, { redisProbe }: Services): Promise<Finding> {
  const times: number[] = [];
  for (let i = 0; i < PINGS; i++) times.push(await redisProbe.pingMs());
  times.sort((a, b) => a - b);
  const p50 = times[PINGS / 2]!;
  const p99 = times[PINGS - 2]!;
  const found = `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms of ${PINGS} PINGs`;
  if (p99 > config.redis.timeoutMs)
    return fail(
      "latency",
      found,
      `Over REDIS_TIMEOUT_MS (${config.redis.timeoutMs}): put the functions into Redis's region, or raise it.`,
    );
  if (p50 > 5)
    return warn("latency", found, "Over 5 ms: is Redis in the region of the functions, and of this machine?");
  return pass("latency", found);
}

function assessTopology(
  { topology, role, masters }: RedisInfo,
  expected: ServiceConfig["redis"]["topology"],
): Finding {
  const isCluster = topology === "cluster";
  if (isCluster !== (expected === "cluster"))
    return fail(
      "topology",
      `${topology}, while REDIS_TOPOLOGY is ${expected}`,
      `Set REDIS_TOPOLOGY to ${isCluster ? "cluster" : "standalone"}.`,
    );
  return pass("topology", isCluster ? `cluster of ${masters} masters` : `${topology}, ${role}`);
}

/** What a server's INFO says about how it is set up. */
export function assessRedis(
  info: RedisInfo,
  mode: ServiceConfig["quota"]["mode"],
  expectedTopology: ServiceConfig["redis"]["topology"],
): Finding[] {
  const [major = 0, minor = 0] = info.version.split(".").map(Number);
  const used = (info.usedMemoryBytes / MIB).toFixed(1);
  const percent = `${Math.round(info.memoryShare * 100)} % of maxmemory`;
  const memory = `${used} MiB used, ${info.masters === 1 ? percent : `at most ${percent} of a master`}`;
  const clients = `${info.connectedClients} of ${info.maxClients}`;
  const durable = info.appendOnlyFile || info.connectedReplicas > 0;
  const kept = info.appendOnlyFile
    ? "append-only file"
    : info.connectedReplicas > 0
      ? `${info.connectedReplicas} replicas`
      : "no append-only file, no replica";
  return [
    major > 6 || (major === 6 && minor >= 2)
      ? pass("version", info.version)
      : fail("version", info.version, "Upgrade to Redis 6.2 or later."),
    assessTopology(info, expectedTopology),
    info.maxMemoryBytes === 0
      ? warn(
          "memory",
          `${used} MiB used, no maxmemory`,
          "Set maxmemory, so that the machine does not end Redis.",
        )
      : (info.memoryShare > 0.8 ? warn : pass)("memory", memory, "Make the instance larger."),
    info.evictionPolicy === "noeviction"
      ? pass("eviction policy", info.evictionPolicy)
      : (info.evictionPolicy.startsWith("allkeys") && mode === "redis-primary" ? fail : warn)(
          "eviction policy",
          info.evictionPolicy,
          info.evictionPolicy.startsWith("allkeys")
            ? "Set maxmemory-policy to noeviction: this one can drop usage that Firestore lacks."
            : "Set maxmemory-policy to noeviction: this one drops quotas and rate limits at will.",
        ),
    durable || mode !== "redis-primary"
      ? pass("persistence", durable ? kept : `${kept}; MODE ${mode} needs none`)
      : warn(
          "persistence",
          kept,
          "In redis-primary a restart loses the usage since the last sync: take the standard tier, or a short SYNC_SCHEDULE.",
        ),
    info.maxClients > 0 && info.connectedClients / info.maxClients > 0.8
      ? warn("clients", clients, "Each instance of a function has one connection: limit the instances.")
      : pass("clients", clients),
    assessRefusals(info),
  ];
}

/** Replies that callers answer from the fallback; others, such as NOSCRIPT, belong to everyday work. */
const REFUSALS = [
  "OOM",
  "READONLY",
  "NOAUTH",
  "WRONGPASS",
  "LOADING",
  "MASTERDOWN",
  "BUSY",
  "NOPERM",
  "CLUSTERDOWN",
];

/** Above this share of all commands, refusals are no incident but the state of the server. */
const MAX_REFUSED = 0.001;

/** What the server has refused to anybody since it started. */
function assessRefusals({
  refusals,
  rejectedConnections,
  commandsProcessed,
  uptimeSeconds,
}: RedisInfo): Finding {
  const counted = REFUSALS.flatMap((name) => (refusals[name] ? [`${refusals[name]} ${name}`] : []));
  if (rejectedConnections > 0) counted.push(`${rejectedConnections} connections`);
  const since = `of ${commandsProcessed} commands in ${(uptimeSeconds / 3600).toFixed(1)} h`;
  if (counted.length === 0) return pass("refusals", `none ${since}`);
  const refused = REFUSALS.reduce((sum, name) => sum + (refusals[name] ?? 0), rejectedConnections);
  return (refused > MAX_REFUSED * commandsProcessed ? fail : warn)(
    "refusals",
    `${counted.join(", ")} ${since}`,
    "See docs/operations.md#redis-unreachable; Redis counts since it started, or since CONFIG RESETSTAT.",
  );
}

function assessClock(aheadMs: number): Finding {
  const found = `Redis is ${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs >= 0 ? "ahead of" : "behind"} this machine`;
  if (Math.abs(aheadMs) > 48_000)
    return fail("clock", found, "Set the clocks: what is over 60 s old is not kept in Redis.");
  if (Math.abs(aheadMs) > 5000) return warn("clock", found, "Set the clocks.");
  return pass("clock", found);
}
