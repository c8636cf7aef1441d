import type { Redis } from "ioredis";

import type { RedisConnection } from "./connection";

/** Redis as the stores use it: one server, or the masters of a cluster. */
export interface RedisServers {
  /** Whether only keys of one bucket may be used together in a command. */
  readonly isCluster: boolean;

  /** Where Redis is, as configured. */
  readonly address: string;

  /**
   * Runs one command.
   *
   * @param key one of the keys that it uses, which a cluster finds the server by
   * @param startedMs when the operation began that it continues (`performance.now()`), if it is not the first
   * @throws RedisUnavailableError when Redis does not answer in time, cannot be reached or replies with an error.
   */
  runFor<T>(key: string, command: (redis: Redis) => Promise<T>, startedMs?: number): Promise<T>;

  /**
   * The servers that hold the keys, in the order of their addresses.
   *
   * @throws RedisUnavailableError
   */
  masters(): Promise<readonly RedisConnection[]>;

  /** Closes the connections for good: later operations fail, and those in progress within their time limit. */
  close(): void;
}
