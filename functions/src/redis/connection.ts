import { Redis } from "ioredis";

import { withDeadline } from "../deadline";
import type { Logs } from "../observability/logs";

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

/**
 * One connection to Redis for the whole process, opened by the first operation. Each operation ends within
 * `timeoutMs`: with its result, or with a {@link RedisUnavailableError}. Nothing is queued while Redis is away, and no
 * command is sent twice: ioredis's defaults would do both, and count a repeated INCR or EVALSHA twice.
 */
export class RedisConnection {
  private client: Redis | undefined;
  private connecting: Promise<void> | undefined;
  private lastError: Error | undefined;

  constructor(
    private readonly options: RedisConnectionOptions,
    private readonly logs: Logs,
  ) {}

  /**
   * Runs one operation.
   *
   * @throws RedisUnavailableError when Redis does not answer in time, cannot be reached or replies with an error.
   */
  async run<T>(operation: (redis: Redis) => Promise<T>): Promise<T> {
    const { host, port, timeoutMs } = this.options;
    let sent = false;
    let abandoned = false;
    const answer = async (): Promise<T> => {
      const redis = (this.client ??= this.createClient());
      if (redis.status !== "ready") await this.connect(redis);
      if (abandoned) throw new Error("connected too late");
      sent = true;
      return operation(redis);
    };
    try {
      return await withDeadline(answer(), timeoutMs, `no reply within ${timeoutMs} ms (REDIS_TIMEOUT_MS)`);
    } catch (error) {
      const failure = error as Error;
      const notSent = !sent || NOT_SENT.test(failure.message);
      const refused = failure.name === "ReplyError";
      abandoned = true;
      throw new RedisUnavailableError(
        `${host}:${port}`,
        notSent || refused ? "not-executed" : "unknown",
        notSent && this.lastError ? this.lastError : failure,
      );
    }
  }

  /** Closes the connection; a later operation opens a new one. */
  close(): void {
    this.client?.disconnect();
    this.client = undefined;
    this.connecting = undefined;
  }

  /** Waits for the first connection only; once that has failed, ioredis reconnects by itself and callers do not wait. */
  private connect(redis: Redis): Promise<void> {
    if (redis.status === "wait") {
      this.connecting = redis.connect().then(undefined, (error: Error) => {
        this.connecting = undefined;
        throw this.lastError ?? error;
      });
    }
    return this.connecting ?? Promise.resolve();
  }

  private createClient(): Redis {
    const { host, port, timeoutMs } = this.options;
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
      reconnectOnError: (error) => RECONNECT_ON.test(error.message),
    });
    redis.on("error", (error) => {
      if (this.lastError === undefined) this.logs.redisUnreachable(`${host}:${port}`, error);
      this.lastError = error;
    });
    redis.on("ready", () => {
      this.connecting = undefined;
      if (this.lastError !== undefined) this.logs.redisReachableAgain(`${host}:${port}`);
      this.lastError = undefined;
    });
    return redis;
  }
}
