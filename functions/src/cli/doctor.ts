import type { Command } from "commander";

import { ConfigError, parseConfig, parseServiceConfig, type ServiceConfig } from "../config/config";
import type { ParamValues } from "../config/param-specs";
import type { RedisInfo } from "../redis/redis-probe";
import type { Services } from "../services";
import type { Cli } from "./cli";
import { redact, table } from "./table";

/** One line of the check-up; `todo` says what to do about it. */
export interface Finding {
  readonly check: string;
  readonly verdict: "pass" | "warn" | "fail";
  readonly found: string;
  readonly todo?: string;
}

const PINGS = 100;
const SAMPLE = 20;

const MIB = 1024 * 1024;
const PRIVATE_ADDRESS = /^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|::1$|f[cd]|localhost$)/i;

const pass = (check: string, found: string): Finding => ({ check, verdict: "pass", found });
const warn = (check: string, found: string, todo: string): Finding => ({
  check,
  verdict: "warn",
  found,
  todo,
});
const fail = (check: string, found: string, todo: string): Finding => ({
  check,
  verdict: "fail",
  found,
  todo,
});

/** `doctor`: the checks before a migration, made. */
export function addDoctor(program: Command, cli: Cli): void {
  const command = program
    .command("doctor")
    .description("Check params, Redis, Firestore and the fallback, and say what to do.")
    .addHelpText(
      "after",
      "\nRun it in the network of the functions: Memorystore has a private address." +
        "\n\nExamples:\n  npx firestore-redis-quota doctor --env-file extensions/quota.env" +
        "\n  npx firestore-redis-quota doctor --json",
    )
    .action(async () => {
      const params = cli.params(command);
      const findings = checkParams(params);
      const config = readable(params);
      if (config) findings.push(...(await checkStores(config, cli, command)));
      cli.failed = findings.some(({ verdict }) => verdict === "fail");
      const shown = findings.map((each) => ({ ...each, found: redact(each.found) }));
      cli.print(command, shown, () => report(shown));
    });
}

function report(findings: readonly Finding[]): string {
  const count = (verdict: Finding["verdict"]) => findings.filter((each) => each.verdict === verdict).length;
  const lines = table(
    findings.map(({ verdict, check, found }) => [verdict.toUpperCase(), check, found]),
  ).split("\n");
  const withTodos = findings.flatMap(({ todo }, i) => (todo ? [lines[i]!, `      -> ${todo}`] : [lines[i]!]));
  return [
    ...withTodos,
    "",
    `${count("pass")} passed, ${count("warn")} warnings, ${count("fail")} failed`,
  ].join("\n");
}

function checkParams(params: ParamValues): Finding[] {
  try {
    const { location } = parseConfig(params);
    return [pass("params", "all valid"), reachOfNetwork(params, location)];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ param, problem }) =>
      fail(
        param === "VPC_CONNECTOR" ? "VPC connector" : "params",
        `${param}: ${problem}`,
        `Correct ${param}.`,
      ),
    );
  }
}

function reachOfNetwork(params: ParamValues, location: string): Finding {
  const network = params.VPC_NETWORK || params.VPC_SUBNETWORK;
  if (network) return pass("VPC network", `${network.split("/").at(-1)}, in which the kit's functions are`);
  const connector = params.VPC_CONNECTOR?.split("/").at(-1);
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

async function checkStores(config: ServiceConfig, cli: Cli, command: Command): Promise<Finding[]> {
  const services = cli.open(config, command, { quiet: true });
  const redis = await checkRedis(config, services);
  const { findings, providerId } = await checkFirestore(config, services);
  const nowhere = { ...config, redis: { ...config.redis, host: "127.0.0.1", port: 1 } };
  const fallback = await checkFallback(cli.open(nowhere, command, { quiet: true }), providerId);
  return [...redis, ...findings, fallback];
}

async function checkRedis(config: ServiceConfig, services: Services): Promise<Finding[]> {
  const { redisProbe } = services;
  const status = await redisProbe.status();
  if (!status.reachable) return [unreachable(status.error)];
  const findings = [pass("Redis", `answers at ${redisProbe.address}`), await checkLatency(config, services)];
  findings.push(...assessRedis(status, config.quota.mode, config.redis.topology));
  findings.push(assessAccess(config.redis));
  findings.push(
    await check(
      "Lua",
      () => redisProbe.runLua(),
      "runs",
      "Allow EVAL and EVALSHA: every decision is a script.",
    ),
  );
  findings.push(assessClock(await redisProbe.clockAheadMs()));
  return findings;
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
  if (/Secret Manager|The secret/.test(error))
    return fail(
      "Redis",
      error,
      "Check the secrets, and the role secretmanager.secretAccessor of who runs this.",
    );
  return fail(
    "Redis",
    error,
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
  ];
}

function assessClock(aheadMs: number): Finding {
  const found = `Redis is ${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs >= 0 ? "ahead of" : "behind"} this machine`;
  if (Math.abs(aheadMs) > 48_000)
    return fail("clock", found, "Set the clocks: what is over 60 s old is not kept in Redis.");
  if (Math.abs(aheadMs) > 5000) return warn("clock", found, "Set the clocks.");
  return pass("clock", found);
}

async function checkFirestore(
  config: ServiceConfig,
  { quotaInspector }: Services,
): Promise<{ readonly findings: Finding[]; readonly providerId: string }> {
  const { collectionPath, usedField, limitField } = config.quota;
  const startedMs = performance.now();
  try {
    const sample = await quotaInspector.sampleDocuments(SAMPLE);
    const findings = [pass("Firestore", `answered in ${Math.round(performance.now() - startedMs)} ms`)];
    const withField = sample.filter(({ hasUsed, hasLimit }) => hasUsed || hasLimit).length;
    const invalid = sample.filter(({ problem }) => problem !== undefined);
    if (sample.length === 0)
      findings.push(
        warn("collection", `${collectionPath} is empty`, "Check QUOTA_COLLECTION_PATH, and --project."),
      );
    else findings.push(pass("collection", `${collectionPath}, ${sample.length} documents read`));
    if (sample.length > 0 && withField === 0)
      findings.push(
        warn(
          "fields",
          `no document has ${usedField} or ${limitField}`,
          "Check QUOTA_USED_FIELD and QUOTA_LIMIT_FIELD.",
        ),
      );
    else if (invalid.length > 0)
      findings.push(
        fail(
          "fields",
          `${invalid.length} invalid, such as ${invalid[0]!.providerId}: ${invalid[0]!.problem}`,
          "Correct these documents: checks of them fail.",
        ),
      );
    else if (sample.length > 0)
      findings.push(pass("fields", `${withField} of ${sample.length} have ${usedField} or ${limitField}`));
    return {
      findings,
      providerId: sample.find(({ problem }) => problem === undefined)?.providerId ?? "doctor",
    };
  } catch (error) {
    const todo =
      "Check --project and the credentials (gcloud auth application-default login), and the role datastore.user.";
    return { findings: [fail("Firestore", (error as Error).message, todo)], providerId: "doctor" };
  }
}

/** Checks a quota with a Redis that is not there, as in an outage. */
async function checkFallback({ quotaService }: Services, providerId: string): Promise<Finding> {
  return check(
    "fallback",
    async () => {
      await quotaService.check(providerId);
    },
    "Firestore answers a check without Redis",
    "Make Firestore reachable: without it nothing answers while Redis is away.",
  );
}

async function check(name: string, work: () => Promise<void>, found: string, todo: string): Promise<Finding> {
  try {
    await work();
    return pass(name, found);
  } catch (error) {
    return fail(name, (error as Error).message, todo);
  }
}
