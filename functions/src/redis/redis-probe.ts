import type { Redis } from "ioredis";

import { isDenied, RedisUnavailableError } from "./connection";
import type { Keys } from "./keys";
import type { RedisServers } from "./redis-servers";
import { asList, asNumber, asOneOf, asText } from "./reply";

/**
 * What a Redis server says of itself (INFO). Sizes are in bytes; a limit of 0 is none. Of a cluster, sizes and counts
 * are of all masters together, and the rest is of the one that is worst off.
 */
export interface RedisInfo {
  /** 1, or how many masters a cluster has. */
  readonly masters: number;
  readonly version: string;
  /** `standalone`, `cluster` or `sentinel`. */
  readonly topology: string;
  /** `master` or `slave`. */
  readonly role: string;
  readonly uptimeSeconds: number;
  readonly usedMemoryBytes: number;
  readonly maxMemoryBytes: number;
  /** The part of its limit that a server uses at most, from 0 to 1. */
  readonly memoryShare: number;
  readonly evictionPolicy: string;
  readonly evictedKeys: number;
  readonly connectedClients: number;
  readonly maxClients: number;
  readonly connectedReplicas: number;
  readonly keyspaceHits: number;
  readonly keyspaceMisses: number;
  readonly commandsProcessed: number;
  /** Connections refused because there were too many. */
  readonly rejectedConnections: number;
  /** Commands that it refused since it started, by the first word of the reply, such as OOM. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly appendOnlyFile: boolean;
  /** When it last wrote all data to disk, Unix time in milliseconds; 0 for never since it started. */
  readonly lastSaveMs: number;
}

const PROBE_TTL_MS = 1000;

/** A key of no other use in every bucket. */
const probeKeys = (keys: Keys) => keys.allDirty().map((dirty) => `${dirty}:probe`);

/** Redis as this process reaches it; `latencyMs` is that of one PING, of a cluster to the slowest master. */
export type RedisStatus =
  | ({ readonly reachable: true; readonly latencyMs: number } & RedisInfo)
  | { readonly reachable: false; readonly error: string };

/** Asks Redis how it is, a cluster all masters. Every method but `status` throws RedisUnavailableError when one gives no answer. */
export class RedisProbe {
  constructor(private readonly redis: RedisServers) {}

  get address(): string {
    return this.redis.address;
  }

  async status(): Promise<RedisStatus> {
    try {
      const info = await this.info();
      return { reachable: true, latencyMs: await this.pingMs(), ...info };
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      return { reachable: false, error: error.message };
    }
  }

  async info(): Promise<RedisInfo> {
    return inAll((await this.ofEach((redis) => redis.info())).map(parseInfo));
  }

  /** This process's own address, `host:port`, as Redis sees it; undefined where the server does not tell. */
  async seenFrom(): Promise<string | undefined> {
    try {
      const [first] = await this.redis.masters();
      const client = await first!.run((redis) => redis.client("INFO").then(asText));
      return /\baddr=(\S+)/.exec(client)?.[1];
    } catch (error) {
      if (error instanceof RedisUnavailableError && error.outcome === "not-executed") return undefined;
      throw error;
    }
  }

  /** How long a PING takes, in milliseconds. */
  async pingMs(): Promise<number> {
    const times = await this.ofEach(async (redis) => {
      const startedMs = performance.now();
      asOneOf(["PONG"], await redis.ping());
      return performance.now() - startedMs;
    });
    return Math.max(...times);
  }

  /** How far its clock is ahead of this process's, in milliseconds, as well as a round trip tells. */
  async clockAheadMs(): Promise<number> {
    const ahead = await this.ofEach(async (redis) => {
      const sentMs = Date.now();
      const [seconds, microseconds] = asList(await redis.time(), 2);
      return asNumber(seconds) * 1000 + asNumber(microseconds) / 1000 - (sentMs + Date.now()) / 2;
    });
    return ahead.reduce((one, other) => (Math.abs(other) > Math.abs(one) ? other : one));
  }

  /** Runs a Lua script that writes, as every decision is one, in every bucket of keys. What it writes soon expires. */
  async runLua(keys: Keys): Promise<void> {
    const script = "redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) return 1";
    const write = (key: string) =>
      this.redis.runFor(key, async (redis) => asOneOf([1], await redis.eval(script, 1, key, PROBE_TTL_MS)));
    await Promise.all(probeKeys(keys).map(write));
  }

  /** Replies to commands that the functions send and this user may not, each with the command or the keys. */
  async deniedCommands(keys: Keys): Promise<string[]> {
    const [key] = probeKeys(keys) as [string];
    const missing = `${key}:none`;
    const commands: readonly (readonly [name: string, ...args: string[]])[] = [
      ["TIME"],
      ["GET", missing],
      ["MGET", missing],
      ["EXISTS", missing],
      ["PTTL", missing],
      ["HGETALL", missing],
      ["ZCARD", missing],
      ["ZSCORE", missing, "member"],
      ["ZRANGE", missing, "0", "0"],
      ["SCAN", "0", "COUNT", "1"],
      ["EVALSHA", "0".repeat(40), "1", missing],
      ["EVAL", "return 1", "1", missing],
    ];
    const denied: string[] = [];
    for (const [name, ...args] of commands)
      await this.redis
        .runFor(key, (redis) => redis.call(name, ...args))
        .catch((error: RedisUnavailableError) => {
          if (isDenied(error)) denied.push(`${name}: ${error.cause.message}`);
        });
    return denied;
  }

  private async ofEach<T>(command: (redis: Redis) => Promise<T>): Promise<T[]> {
    return Promise.all((await this.redis.masters()).map((master) => master.run(command)));
  }
}

/** Reads a server's reply to INFO. */
export function parseInfo(text: string): RedisInfo {
  const fields = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const number = (name: string) => Number(fields.get(name) ?? 0);
  const maxMemoryBytes = number("maxmemory");
  return {
    masters: 1,
    version: fields.get("redis_version") ?? "unknown",
    // Valkey names its mode so.
    topology: fields.get("redis_mode") ?? fields.get("server_mode") ?? "standalone",
    role: fields.get("role") ?? "unknown",
    uptimeSeconds: number("uptime_in_seconds"),
    usedMemoryBytes: number("used_memory"),
    maxMemoryBytes,
    memoryShare: maxMemoryBytes === 0 ? 0 : number("used_memory") / maxMemoryBytes,
    evictionPolicy: fields.get("maxmemory_policy") ?? "unknown",
    evictedKeys: number("evicted_keys"),
    connectedClients: number("connected_clients"),
    maxClients: number("maxclients"),
    connectedReplicas: number("connected_slaves"),
    keyspaceHits: number("keyspace_hits"),
    keyspaceMisses: number("keyspace_misses"),
    commandsProcessed: number("total_commands_processed"),
    rejectedConnections: number("rejected_connections"),
    refusals: Object.fromEntries(
      [...fields].flatMap(([name, value]) => {
        const refusal = /^errorstat_(\w+)$/.exec(name)?.[1];
        return refusal === undefined ? [] : [[refusal, Number(value.replace("count=", ""))]];
      }),
    ),
    appendOnlyFile: fields.get("aof_enabled") === "1",
    lastSaveMs: number("rdb_last_save_time") * 1000,
  };
}

function inAll(servers: readonly RedisInfo[]): RedisInfo {
  const [first] = servers;
  if (servers.length === 1) return first!;
  const sum = (field: (server: RedisInfo) => number) =>
    servers.reduce((total, each) => total + field(each), 0);
  const least = (field: (server: RedisInfo) => number) => Math.min(...servers.map(field));
  return {
    masters: servers.length,
    version: servers.map(({ version }) => version).sort(compareVersions)[0]!,
    topology: first!.topology,
    role: first!.role,
    uptimeSeconds: least(({ uptimeSeconds }) => uptimeSeconds),
    usedMemoryBytes: sum(({ usedMemoryBytes }) => usedMemoryBytes),
    maxMemoryBytes: servers.some(({ maxMemoryBytes }) => maxMemoryBytes === 0)
      ? 0
      : sum(({ maxMemoryBytes }) => maxMemoryBytes),
    memoryShare: Math.max(...servers.map(({ memoryShare }) => memoryShare)),
    evictionPolicy: (servers.find(({ evictionPolicy }) => evictionPolicy !== "noeviction") ?? first!)
      .evictionPolicy,
    evictedKeys: sum(({ evictedKeys }) => evictedKeys),
    connectedClients: sum(({ connectedClients }) => connectedClients),
    maxClients: sum(({ maxClients }) => maxClients),
    connectedReplicas: least(({ connectedReplicas }) => connectedReplicas),
    keyspaceHits: sum(({ keyspaceHits }) => keyspaceHits),
    keyspaceMisses: sum(({ keyspaceMisses }) => keyspaceMisses),
    commandsProcessed: sum(({ commandsProcessed }) => commandsProcessed),
    rejectedConnections: sum(({ rejectedConnections }) => rejectedConnections),
    refusals: addUp(servers.map(({ refusals }) => refusals)),
    appendOnlyFile: servers.every(({ appendOnlyFile }) => appendOnlyFile),
    lastSaveMs: least(({ lastSaveMs }) => lastSaveMs),
  };
}

function addUp(counts: readonly RedisInfo["refusals"][]): RedisInfo["refusals"] {
  const sums: Record<string, number> = {};
  for (const each of counts)
    for (const [name, count] of Object.entries(each)) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}

function compareVersions(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true });
}
