import { RedisUnavailableError, type RedisConnection } from "./connection";

/** What a Redis server says of itself (INFO). Sizes are in bytes; a limit of 0 is none. */
export interface RedisInfo {
  readonly version: string;
  /** `standalone`, `cluster` or `sentinel`. */
  readonly topology: string;
  /** `master` or `slave`. */
  readonly role: string;
  readonly uptimeSeconds: number;
  readonly usedMemoryBytes: number;
  readonly maxMemoryBytes: number;
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

/** A Redis server as this process reaches it; `latencyMs` is that of one PING. */
export type RedisStatus =
  | ({ readonly reachable: true; readonly latencyMs: number } & RedisInfo)
  | { readonly reachable: false; readonly error: string };

/** Asks a Redis server how it is. Every method but `status` throws RedisUnavailableError when it gives no answer. */
export class RedisProbe {
  constructor(private readonly redis: RedisConnection) {}

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
    return parseInfo(await this.redis.run((redis) => redis.info()));
  }

  /** This process's own address, `host:port`, as Redis sees it; undefined where the server does not tell. */
  async seenFrom(): Promise<string | undefined> {
    try {
      const client = String(await this.redis.run((redis) => redis.client("INFO")));
      return /\baddr=(\S+)/.exec(client)?.[1];
    } catch (error) {
      if (error instanceof RedisUnavailableError && error.outcome === "not-executed") return undefined;
      throw error;
    }
  }

  /** How long a PING takes, in milliseconds. */
  async pingMs(): Promise<number> {
    const startedMs = performance.now();
    await this.redis.run((redis) => redis.ping());
    return performance.now() - startedMs;
  }

  /** How far its clock is ahead of this process's, in milliseconds, as well as a round trip tells. */
  async clockAheadMs(): Promise<number> {
    const sentMs = Date.now();
    const [seconds, microseconds] = await this.redis.run((redis) => redis.time());
    return Number(seconds) * 1000 + Number(microseconds) / 1000 - (sentMs + Date.now()) / 2;
  }

  /** Runs a Lua script, as every decision is one. */
  async runLua(): Promise<void> {
    await this.redis.run((redis) => redis.eval("return 1", 0));
  }
}

function parseInfo(text: string): RedisInfo {
  const fields = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const number = (name: string) => Number(fields.get(name) ?? 0);
  return {
    version: fields.get("redis_version") ?? "unknown",
    topology: fields.get("redis_mode") ?? "standalone",
    role: fields.get("role") ?? "unknown",
    uptimeSeconds: number("uptime_in_seconds"),
    usedMemoryBytes: number("used_memory"),
    maxMemoryBytes: number("maxmemory"),
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
