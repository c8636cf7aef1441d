import type { Redis } from "ioredis";

import { TimeUpError, withDeadline } from "../deadline";
import type { Logs } from "../observability/logs";
import { Circuit, isRejected } from "./circuit";
import { Credentials, type Access, type AccessSource, type ServerSettings } from "./credentials";
import { RedisClient, TIMED_OUT } from "./redis-client";
import type { RedisServers } from "./redis-servers";
import { secretReader, type ReadSecrets } from "./secret-manager";

export interface RedisConnectionOptions extends ServerSettings {
  /** Limit of one operation in milliseconds, connecting and retries included. */
  readonly timeoutMs: number;
  /** Where the cluster is that the server is a node of, if it is one. */
  readonly clusterAddress?: string;
}

/**
 * Redis gave no answer. `outcome` tells whether the operation may have taken effect: never if it was not sent or was
 * refused by the server; unknown if the connection was lost, or the time was up, before the reply.
 */
export class RedisUnavailableError extends Error {
  override readonly name = "RedisUnavailableError";
  readonly code = "redis-unavailable";

  constructor(
    address: string,
    readonly outcome: "not-executed" | "unknown",
    override readonly cause: Error,
  ) {
    super(`Redis at ${address} (REDIS_HOST, REDIS_PORT) gave no answer: ${cause.message}`);
  }
}

/** Whether the ACL of the Redis user denies a command. */
export function isDenied(error: unknown): boolean {
  return error instanceof RedisUnavailableError && error.cause.message.startsWith("NOPERM");
}

/** Replies after which the server is to be found anew: a failover behind the same address, or one still loading. */
const RECONNECT_ON = /^(READONLY|LOADING|MASTERDOWN)\b/;

/** Replies to a connection that has not shown the server's password. */
const NOT_AUTHENTICATED = /^NOAUTH\b/;

/** What a failure has to do with, if it is more than the address. */
const SETTINGS_OF: readonly (readonly [failure: RegExp, settings: string])[] = [
  [/^(NOAUTH|WRONGPASS)\b/, "REDIS_AUTH_SECRET"],
  [/certificate|altnames|\bSSL\b|\bTLS\b/i, "REDIS_TLS, REDIS_CA_SECRET"],
  [/^(MOVED|CROSSSLOT)\b|cluster support disabled/, "REDIS_TOPOLOGY"],
];

/** ioredis's words for a command that it did not send ("Connection is closed" also ends commands that were). */
const NOT_SENT = /Stream isn't writeable/;

/** What a caller is told whom Redis is not asked for. */
const NOT_ASKED = "it has answered too late, and is not asked until it answers again";

/** The cause of failures after `close`. */
export const CLOSED = "the connection was closed";

/** Errors of those who waited in vain; others came at once. */
const isTooLate = (error: Error) => error instanceof TimeUpError || error.message === TIMED_OUT;

/** One client of ioredis, there once the access to Redis is known. */
interface Client {
  redis: Redis | undefined;
  access: Access | undefined;
  /** The first connection, while it is being made; later ones ioredis makes by itself, and nobody waits. */
  connecting: Promise<void> | undefined;
}

/**
 * The process's one connection to a Redis server, opened by the first command. Each command ends within
 * `timeoutMs`: with its result, or with a {@link RedisUnavailableError}. Nothing is queued while Redis is away, and no
 * command is sent twice: ioredis's defaults would do both, and count a repeated INCR or EVALSHA twice.
 */
export class RedisConnection implements RedisServers {
  readonly isCluster = false;
  private client: Client | undefined;
  private isClosed = false;
  private lastError: Error | undefined;
  /** Of the connection at hand: one that has just been made is trusted anew. */
  private circuit = this.newCircuit();

  constructor(
    private readonly options: RedisConnectionOptions,
    private readonly logs: Logs,
    readSecrets: ReadSecrets = secretReader(),
    private readonly credentials: AccessSource = new Credentials(options, readSecrets),
  ) {}

  get address(): string {
    return addressOf(this.options);
  }

  private get place(): string {
    const { clusterAddress } = this.options;
    return this.address + (clusterAddress === undefined ? "" : ` of the cluster at ${clusterAddress}`);
  }

  masters(): Promise<readonly RedisConnection[]> {
    return Promise.resolve([this]);
  }

  runFor<T>(_key: string, command: (redis: Redis) => Promise<T>, startedMs?: number): Promise<T> {
    return this.run(command, startedMs);
  }

  /**
   * Runs one command.
   *
   * @param startedMs when the operation began that this command continues (`performance.now()`), if it is not the first
   * @throws RedisUnavailableError when Redis does not answer in time, cannot be reached or replies with an error.
   */
  async run<T>(command: (redis: Redis) => Promise<T>, startedMs?: number): Promise<T> {
    if (this.isClosed) throw new RedisUnavailableError(this.place, "not-executed", new Error(CLOSED));
    if (!this.circuit.isClosed) {
      this.askAgain();
      throw new RedisUnavailableError(this.place, "not-executed", this.lastError ?? new Error(NOT_ASKED));
    }
    const redis = this.client?.redis;
    if (redis?.status !== "ready" || startedMs !== undefined)
      return this.runWithin(this.timeLeftMs(startedMs), command);
    try {
      // ioredis's commandTimeout suffices here; a timer of our own would be a tenth of what a call costs.
      return await this.circuit.run(() => command(redis));
    } catch (error) {
      throw this.toUnavailable(error as Error, true);
    }
  }

  /** Closes the connection for good: every later operation fails, and so does one in progress within its time limit. */
  close(): void {
    this.isClosed = true;
    this.client?.redis?.disconnect();
    this.client = undefined;
  }

  /** Has Redis asked, or a connection to it made, for which nobody waits. */
  private askAgain(): void {
    const redis = this.client?.redis;
    if (redis?.status === "ready") this.circuit.probe(() => redis.ping());
    else if (this.client === undefined) this.connected().catch(() => {});
  }

  private timeLeftMs(startedMs = performance.now()): number {
    return this.options.timeoutMs - (performance.now() - startedMs);
  }

  private async runWithin<T>(timeLeftMs: number, command: (redis: Redis) => Promise<T>): Promise<T> {
    const endsMs = performance.now() + timeLeftMs;
    let sent = false;
    const answer = async (): Promise<T> => {
      const redis = await this.connected();
      // Nobody waits any more, or the process has paused: what is not sent has no effect.
      if (performance.now() >= endsMs) throw new TimeUpError(this.noReply);
      sent = true;
      return command(redis);
    };
    try {
      return await this.circuit.run(() => withDeadline(answer(), timeLeftMs, this.noReply));
    } catch (error) {
      throw this.toUnavailable(error as Error, sent);
    }
  }

  private toUnavailable(error: Error, sent: boolean): RedisUnavailableError {
    const rejected = isRejected(error);
    const notSent = !sent || NOT_SENT.test(error.message) || rejected;
    const refused = error.name === "ReplyError";
    const cause = notSent
      ? (this.lastError ?? (sent && !rejected ? new Error("the connection is being renewed") : error))
      : error.message === TIMED_OUT
        ? new TimeUpError(this.noReply)
        : withoutCommand(error);
    return new RedisUnavailableError(this.place, notSent || refused ? "not-executed" : "unknown", cause);
  }

  private async connected(): Promise<Redis> {
    const client = (this.client ??= this.createClient());
    await client.connecting;
    return client.redis!;
  }

  private createClient(): Client {
    const client: Client = { redis: undefined, access: undefined, connecting: undefined };
    client.connecting = this.connect(client).finally(() => (client.connecting = undefined));
    return client;
  }

  private async connect(client: Client): Promise<void> {
    try {
      client.access = await this.credentials.current();
    } catch (error) {
      this.failed(client, error as Error);
      if (client === this.client) this.client = undefined;
      throw error;
    }
    if (client !== this.client) throw new Error(CLOSED);
    client.redis = this.createRedis(client, client.access);
    await client.redis.connect().catch((error: Error) => {
      throw this.lastError ?? withoutCommand(error);
    });
  }

  private createRedis(client: Client, access: Access): Redis {
    const { timeoutMs } = this.options;
    let renewing = false;
    const redis = new RedisClient({
      ...access,
      // RESP2 is what every Redis that Memorystore offers speaks.
      protocol: 2,
      lazyConnect: true,
      connectTimeout: 500,
      commandTimeout: timeoutMs,
      socketTimeout: Math.max(1000, 2 * timeoutMs),
      disconnectTimeout: timeoutMs,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: (attempt) => Math.min(25 * 2 ** attempt, 1000) * (0.5 + Math.random() / 2),
      // Once for a connection, however many commands it refuses.
      reconnectOnError: (error) => {
        if (NOT_AUTHENTICATED.test(error.message)) this.failed(client, error);
        if (renewing || !RECONNECT_ON.test(error.message)) return false;
        return (renewing = true);
      },
    });
    redis.on("error", (error) => this.failed(client, error));
    redis.on("ready", () => {
      renewing = false;
      if (client !== this.client) return;
      if (!this.circuit.isClosed) {
        this.circuit = this.newCircuit();
        this.logs.redisCircuitClosed(this.place);
      }
      if (this.lastError !== undefined) this.logs.redisReachableAgain(this.place);
      this.lastError = undefined;
    });
    return redis;
  }

  /** The client has no connection that is of use; what it was made with may be out of date. */
  private failed(client: Client, error: Error): void {
    if (client !== this.client) return;
    const cause = withoutCommand(error);
    if (this.lastError === undefined) this.logs.redisUnreachable(this.place, cause);
    this.lastError = cause;
    if (client.access !== undefined) void this.renew(client);
  }

  /** Has the next operation open another connection if the secrets have changed, or this one has not shown them. */
  private async renew(client: Client): Promise<void> {
    let access: Access;
    try {
      if (!(await this.credentials.renew())) return;
      access = await this.credentials.current();
    } catch (error) {
      this.logs.secretsUnavailable(error as Error);
      return;
    }
    const isReady = () => client.redis?.status === "ready";
    const isChanged = access !== client.access;
    if (client !== this.client || !(isChanged || (isReady() && access.password !== undefined))) return;
    if (isChanged) this.logs.redisCredentialsRenewed(this.place);
    this.client = undefined;
    // What was sent is answered first, be it by a refusal; a connection that is not ready has sent nothing.
    if (isReady()) await client.redis?.quit().catch(() => {});
    client.redis?.disconnect();
  }

  private newCircuit(): Circuit {
    return new Circuit(isTooLate, (state) => {
      if (state === "open") this.logs.redisCircuitOpened(this.place);
      else this.logs.redisCircuitClosed(this.place);
    });
  }

  private get noReply(): string {
    return `no reply within ${this.options.timeoutMs} ms (REDIS_TIMEOUT_MS)`;
  }
}

/** Where Redis is, as configured. */
export function addressOf({ host, port }: ServerSettings): string {
  return [host, port].map((setting) => (typeof setting === "object" ? setting.version : setting)).join(":");
}

/**
 * What an error of ioredis says, with the settings that it has to do with, and without what ioredis attaches to it and
 * some servers repeat: the command, which can be AUTH with the password.
 */
function withoutCommand({ name, message, code }: Error & { code?: string }): Error {
  const text = (message || code || name).replace(/, with args beginning with:.*/s, "");
  const settings = SETTINGS_OF.find(([failure]) => failure.test(text))?.[1];
  const bare = new Error(settings === undefined ? text : `${text} (${settings})`);
  bare.name = name;
  return bare;
}
