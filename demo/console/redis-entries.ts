import type { Redis } from "ioredis";
import { parseStoredQuota, type StoredQuota } from "../../functions/dist/quota/stored-quota.js";
import type { Keys } from "../../functions/dist/redis/keys.js";
import { connectRedis } from "../redis-client.ts";

const LOOK_AFTER_MS = 10;
const CHANNEL_PREFIX = "__keyspace@0__:";

/** A newer version of a provider's document has reached Redis. */
export interface Arrival {
  readonly providerId: string;
  /** Of the document, in microseconds since the epoch. */
  readonly version: number;
  readonly lagMs: number;
}

interface EntryWatcher {
  /** Entries were written, by whoever. */
  changed(providerIds: readonly string[]): void;
  arrived(arrival: Arrival): void;
}

/**
 * Follows the entries of all providers: Redis tells of each write (keyspace notifications), and the entry's version says
 * when Firestore had committed what it holds. Connected for as long as the demo runs, through all stops of Redis.
 */
export class RedisEntries {
  readonly #subscriber: Redis;
  readonly #reader: Redis;
  readonly #keys: Keys;
  readonly #watcher: EntryWatcher;
  /** Entries that were written and not read since, and when Redis told of it first. */
  readonly #changes = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  readonly #latest = new Map<string, Arrival>();
  readonly #waiting = new Set<(arrival: Arrival) => void>();
  /** Versions from before are no arrivals. */
  readonly #sinceMicros = Date.now() * 1_000;

  constructor(port: number, keys: Keys, watcher: EntryWatcher) {
    this.#keys = keys;
    this.#subscriber = connectRedis(port);
    this.#reader = connectRedis(port);
    this.#watcher = watcher;
    this.#subscriber.on("pmessage", (_pattern: string, channel: string) => {
      const providerId = channel.slice(channel.indexOf(":q:") + ":q:".length);
      if (this.#changes.has(providerId)) return;
      if (this.#changes.size === 0) this.#timer = setTimeout(() => void this.#look(), LOOK_AFTER_MS);
      this.#changes.set(providerId, performance.timeOrigin + performance.now());
    });
    void this.#subscriber.psubscribe(`${CHANNEL_PREFIX}*:q:*`).catch(() => {}); // ended before it was connected
  }

  /** What Redis holds of these providers; of none, if it does not answer. */
  async read(providerIds: readonly string[]): Promise<(StoredQuota | undefined)[]> {
    return this.#reader.status === "ready" ? this.#read(providerIds) : providerIds.map(() => undefined);
  }

  /** How long this version, or one after it, took to arrive, in milliseconds; undefined if it has not in time. */
  async arrivalOf(providerId: string, version: number, timeoutMs: number): Promise<number | undefined> {
    const isIt = (arrival: Arrival | undefined): boolean =>
      arrival?.providerId === providerId && arrival.version >= version;
    const latest = this.#latest.get(providerId);
    if (isIt(latest)) return latest!.lagMs;
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const tell = (arrival: Arrival): void => void (isIt(arrival) && resolve(arrival.lagMs));
    this.#waiting.add(tell);
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    const lagMs = await promise;
    clearTimeout(timer);
    this.#waiting.delete(tell);
    return lagMs;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#subscriber.disconnect();
    this.#reader.disconnect();
  }

  /** Reads what has changed, all at once: a step of the demo writes thousands of times a second. */
  async #look(): Promise<void> {
    const changes = [...this.#changes];
    this.#changes.clear();
    const entries = await this.#read(changes.map(([providerId]) => providerId));
    changes.forEach(([providerId, atMs], index) => {
      const entry = entries[index];
      if (!entry || !this.#isNewer(providerId, entry.version)) return;
      const lagMs = Math.max(0, atMs - entry.version / 1_000);
      const arrival = { providerId, version: entry.version, lagMs };
      this.#latest.set(providerId, arrival);
      this.#watcher.arrived(arrival);
      for (const tell of this.#waiting) tell(arrival);
    });
    this.#watcher.changed(changes.map(([providerId]) => providerId));
  }

  async #read(providerIds: readonly string[]): Promise<(StoredQuota | undefined)[]> {
    const entries = await this.#reader
      .mgetBuffer(providerIds.map((id) => this.#keys.quota(id)))
      .catch(() => []);
    return providerIds.map((_, index) => parseStoredQuota(entries[index] ?? null));
  }

  /** A reader that fills an expired entry brings no news; neither does a consumption, which leaves the version as it is. */
  #isNewer(providerId: string, version: number): boolean {
    return version > (this.#latest.get(providerId)?.version ?? this.#sinceMicros);
  }
}
