/** A Redis server that this process started. */
export interface RedisServer {
  readonly port: number;
  /** The server's process; another one after `restart`. */
  readonly pid: number;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
  /** Sends a signal (SIGKILL if none is named) and, if it is one that ends the server, waits until it has. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the server again, on the same port and in the same directory, after ending it if it runs. */
  restart(): Promise<void>;
}

/**
 * Makes sure that `startRedis` finds a server: root has one installed by apt-get, others are told what to type.
 *
 * @param step wraps what takes long, so that the caller can report it
 */
export function ensureRedisServer(
  step?: (what: string, work: () => Promise<unknown>) => Promise<unknown>,
): Promise<void>;

/**
 * Starts a Redis server on 127.0.0.1, in memory only, which is ended at the latest when this process is gone.
 *
 * @param options.port the port; a free one if absent
 * @param options.args more settings, e.g. `["--maxmemory", "10mb"]`
 * @throws Error that says how to install Redis when there is none
 *
 * @example
 * const redis = await startRedis();
 * await redis.kill("SIGSTOP");
 * await redis.stop();
 */
export function startRedis(options?: { port?: number; args?: string[] }): Promise<RedisServer>;
