import { Redis } from "ioredis";

import { TimeUpError, withDeadline } from "../deadline";
import type { Logs } from "../observability/logs";
import { Circuit, isRejected } from "./circuit";

export interface RedisConnectionOptions {
  readonly host: string;
  readonly port: number;
  /** Limit of one operation in milliseconds, connecting and retries included. */
  readonly timeoutMs: number;
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

/** Replies after which the server is to be found anew: a failover behind the same address, or one still loading. */
const RECONNECT_ON = /^(READONLY|LOADING|MASTERDOWN)\b/;

/** ioredis's words for a command that it did not send ("Connection is closed" also ends commands that were). */
const NOT_SENT = /Stream isn't writeable/;

/** ioredis's words for a command without a reply after `commandTimeout`. */
const TIMED_OUT = "Command timed out";

/** What a caller is told whom Redis is not asked for. */
const NOT_ASKED = "it has answered too late, and is not asked until it answers again";

/** Errors of those who waited in vain; others came at once. */
const isTooLate = (error: Error) => error instanceof TimeUpError || error.message === TIMED_OUT;

/** One client of ioredis and what is known of its connection. */
interface Client {
  readonly redis: Redis;
  /** Of the connection at hand: one that has just been made is trusted anew. */
  circuit: Circuit;
  /** The first connection, while it is being made; later ones ioredis makes by itself, and nobody waits. */
  connecting: Promise<void> | undefined;
  lastError: Error | undefined;
}

/**
 * One connection to Redis for the whole process, opened by the first command. Each command ends within
 * `timeoutMs`: with its result, or with a {@link RedisUnavailableError}. Nothing is queued while Redis is away, and no
 * command is sent twice: ioredis's defaults would do both, and count a repeated INCR or EVALSHA twice.
 */
export class RedisConnection {
  private client: Client | undefined;

  constructor(
    private readonly options: RedisConnectionOptions,
    private readonly logs: Logs,
  ) {}

  /**
   * Runs one command.
   *
   * @param startedMs when the operation began that this command continues (`performance.now()`), if it is not the first
   * @throws RedisUnavailableError when Redis does not answer in time, cannot be reached or replies with an error.
   */
  async run<T>(command: (redis: Redis) => Promise<T>, startedMs?: number): Promise<T> {
    const client = (this.client ??= this.createClient());
    if (!client.circuit.isClosed) {
      if (client.redis.status === "ready") client.circuit.probe(() => client.redis.ping());
      throw new RedisUnavailableError(this.address, "not-executed", client.lastError ?? new Error(NOT_ASKED));
    }
    if (client.redis.status !== "ready" || startedMs !== undefined)
      return this.runWithin(this.timeLeftMs(startedMs), client, command);
    try {
      // ioredis's commandTimeout suffices here; a timer of our own would be a tenth of what a call costs.
      return await client.circuit.run(() => command(client.redis));
    } catch (error) {
      throw this.toUnavailable(client, error as Error, true);
    }
  }

  /** Closes the connection; a later operation opens a new one. */
  close(): void {
    this.client?.redis.disconnect();
    this.client = undefined;
  }

  private timeLeftMs(startedMs = performance.now()): number {
    return this.options.timeoutMs - (performance.now() - startedMs);
  }

  private async runWithin<T>(
    timeLeftMs: number,
    client: Client,
    command: (redis: Redis) => Promise<T>,
  ): Promise<T> {
    let abandoned = false;
    let sent = false;
    const answer = async (): Promise<T> => {
      if (client.redis.status !== "ready") await this.connect(client);
      if (abandoned) throw new Error("connected too late");
      sent = true;
      return command(client.redis);
    };
    try {
      return await client.circuit.run(() => withDeadline(answer(), timeLeftMs, this.noReply));
    } catch (error) {
      abandoned = true;
      throw this.toUnavailable(client, error as Error, sent);
    }
  }

  private toUnavailable(client: Client, error: Error, sent: boolean): RedisUnavailableError {
    const notSent = !sent || NOT_SENT.test(error.message) || isRejected(error);
    const refused = error.name === "ReplyError";
    const cause = notSent
      ? (client.lastError ?? (sent ? new Error("the connection is being renewed") : error))
      : error.message === TIMED_OUT
        ? new TimeUpError(this.noReply)
        : error;
    return new RedisUnavailableError(this.address, notSent || refused ? "not-executed" : "unknown", cause);
  }

  private connect(client: Client): Promise<void> {
    if (client.redis.status === "wait") {
      client.connecting = client.redis.connect().catch((error: Error) => {
        client.connecting = undefined;
        throw client.lastError ?? error;
      });
    }
    return client.connecting ?? Promise.resolve();
  }

  private createClient(): Client {
    const { host, port, timeoutMs } = this.options;
    let renewing = false;
    const redis = new Redis({
      host,
      port,
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
        if (renewing || !RECONNECT_ON.test(error.message)) return false;
        return (renewing = true);
      },
    });
    const client: Client = {
      redis,
      circuit: this.newCircuit(),
      connecting: undefined,
      lastError: undefined,
    };
    redis.on("error", (error) => {
      if (client.lastError === undefined) this.logs.redisUnreachable(this.address, error);
      client.lastError = error;
    });
    redis.on("ready", () => {
      client.connecting = undefined;
      if (!client.circuit.isClosed) {
        client.circuit = this.newCircuit();
        this.logs.redisCircuitClosed(this.address);
      }
      renewing = false;
      if (client.lastError !== undefined) this.logs.redisReachableAgain(this.address);
      client.lastError = undefined;
    });
    return client;
  }

  private newCircuit(): Circuit {
    return new Circuit(isTooLate, (state) => {
      if (state === "open") this.logs.redisCircuitOpened(this.address);
      else this.logs.redisCircuitClosed(this.address);
    });
  }

  private get noReply(): string {
    return `no reply within ${this.options.timeoutMs} ms (REDIS_TIMEOUT_MS)`;
  }

  private get address(): string {
    return `${this.options.host}:${this.options.port}`;
  }
}
