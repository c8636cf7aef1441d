import { setTimeout as sleep } from "node:timers/promises";
import type { Timestamp, WriteResult } from "firebase-admin/firestore";
import { Redis } from "ioredis";
import { parseStoredQuota } from "../functions/dist/quota/stored-quota.js";
import type { Keys } from "../functions/dist/redis/keys.js";
import { connectRedis } from "./redis-client.ts";

/** Lets Redis tell subscribers of each command that writes a string, as the mirror's entries are. */
export const NOTIFY_SETTING = ["--notify-keyspace-events", "K$"];

const CHANNEL_PREFIX = "__keyspace@0__:";
const POLL_MS = 20;

/** A committed write of a provider document. */
export interface ProviderWrite {
  readonly id: string;
  /** When Firestore committed it, by its own account. */
  readonly writeTime: Timestamp;
}

/** Waits for a write to be committed. */
export async function committed(id: string, write: Promise<WriteResult>): Promise<ProviderWrite> {
  return { id, writeTime: (await write).writeTime };
}

export interface Arrivals {
  /** From a write's commit to the moment when Redis tells of its entry, in milliseconds. */
  readonly lagsMs: readonly number[];
  /** Writes that did not reach Redis in time. */
  readonly missing: readonly ProviderWrite[];
}

/**
 * Tells when writes reach Redis. Redis itself says so (keyspace notifications), so that the measurement neither asks
 * over and over nor adds to a check's work; that it was this write which arrived, the entry's version proves afterwards.
 */
export class MirrorWatch {
  readonly #subscriber: Redis;
  readonly #reader: Redis;
  readonly #keys: Keys;
  readonly #lastChangeMs = new Map<string, number>();

  private constructor(port: number, keys: Keys) {
    this.#subscriber = connectRedis(port);
    this.#reader = connectRedis(port);
    this.#keys = keys;
    this.#subscriber.on("pmessage", (_pattern: string, channel: string) => {
      this.#lastChangeMs.set(channel.slice(CHANNEL_PREFIX.length), nowMs());
    });
  }

  static async start(port: number, keys: Keys): Promise<MirrorWatch> {
    const watch = new MirrorWatch(port, keys);
    await watch.#subscriber.psubscribe(`${CHANNEL_PREFIX}*:q:*`);
    return watch;
  }

  /** How many of these writes have been seen to arrive. */
  count(writes: readonly ProviderWrite[]): number {
    return writes.filter((write) => this.#isTold(write)).length;
  }

  async untilMirrored(writes: readonly ProviderWrite[], timeoutMs: number): Promise<Arrivals> {
    const deadline = performance.now() + timeoutMs;
    let missing = await this.#missing(writes);
    while (missing.size > 0 && performance.now() < deadline) {
      await sleep(POLL_MS);
      const allTold = writes.every((write) => this.#isTold(write));
      if (allTold || performance.now() >= deadline) missing = await this.#missing(writes);
    }
    const arrived = writes.filter((write) => !missing.has(write));
    return {
      lagsMs: arrived.map(
        (write) => this.#lastChangeMs.get(this.#keys.quota(write.id))! - committedMs(write),
      ),
      missing: [...missing],
    };
  }

  stop(): void {
    this.#subscriber.disconnect();
    this.#reader.disconnect();
  }

  #isTold(write: ProviderWrite): boolean {
    return (this.#lastChangeMs.get(this.#keys.quota(write.id)) ?? 0) >= committedMs(write);
  }

  async #missing(writes: readonly ProviderWrite[]): Promise<Set<ProviderWrite>> {
    if (writes.length === 0) return new Set();
    const entries = await this.#reader.mgetBuffer(writes.map(({ id }) => this.#keys.quota(id)));
    return new Set(
      writes.filter((write, index) => {
        const isStored = (parseStoredQuota(entries[index]!)?.version ?? 0) >= committedMicros(write);
        return !isStored || !this.#isTold(write);
      }),
    );
  }
}

function committedMicros({ writeTime }: ProviderWrite): number {
  return writeTime.seconds * 1_000_000 + Math.floor(writeTime.nanoseconds / 1_000);
}

function committedMs(write: ProviderWrite): number {
  return committedMicros(write) / 1_000;
}

/** Unix time with the fractions of a millisecond that Date.now() cuts off. */
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
