import { Counters, type MetricCounts } from "../observability/counters";
import { RedisUnavailableError } from "./connection";
import type { Keys } from "./keys";
import { addCounts } from "./lua.generated";
import type { RedisServers } from "./redis-servers";
import { asOneOf, UnexpectedReplyError } from "./reply";
import { runScript } from "./script";

const HOUR_MS = 60 * 60 * 1000;

/** Two hours are read; the rest of a day is for who looks into Redis. */
const TTL_MS = 24 * HOUR_MS;

/** Far more than the policies of one app need; it bounds what an hour takes in Redis to about 100 KB. */
const MAX_FIELDS = 1000;

const SUMS = [
  "hits",
  "misses",
  "fallbacks",
  "mirrored",
  "lagSumMs",
  "circuitOpened",
  "circuitClosed",
] as const;

/** What all processes together have counted since a time (Unix ms). */
export interface CountsOfAll extends MetricCounts {
  readonly sinceMs: number;
}

/** What all processes that share a Redis have counted, by the hour of their own clocks. */
export class SharedCounts {
  private unsent = new Counters();

  constructor(
    private readonly redis: RedisServers,
    private readonly keys: Keys,
    private readonly now: () => number = Date.now,
  ) {}

  /**
   * Adds what this process has counted. The command is sent at once if there is a connection, so that it needs no CPU
   * after the call that it is part of; nobody waits for the reply. What certainly was not added is added with the next
   * counts, and what may have been is not added again.
   */
  add(counted: Counters): void {
    this.unsent.add(counted);
    void this.send();
  }

  /**
   * The counts of this hour and the one before; null if Redis gives no answer. `decisions` can have a policy "*", which
   * is the policies of which there were too many.
   */
  async recentIfKnown(): Promise<CountsOfAll | null> {
    const hour = this.hour();
    const recent = new Counters();
    try {
      const hours = await Promise.all([this.read(hour - 1), this.read(hour)]);
      for (const counted of hours) recent.add(counted);
    } catch (error) {
      if (error instanceof RedisUnavailableError) return null;
      throw error;
    }
    return { sinceMs: (hour - 1) * HOUR_MS, ...recent.counts() };
  }

  private async send(): Promise<void> {
    const sent = this.unsent;
    const counts = namedCounts(sent);
    if (counts.length === 0) return;
    this.unsent = new Counters();
    try {
      const hour = this.keys.counts(this.hour());
      const input = { hour, ttlMs: TTL_MS, maxFields: MAX_FIELDS, lagMaxMs: sent.lagMaxMs, counts };
      await runScript(this.redis, addCounts, input, (reply) => asOneOf([1], reply));
    } catch (error) {
      // That Redis is away is logged by those whom it concerns.
      if (error instanceof RedisUnavailableError && error.outcome === "not-executed") this.unsent.add(sent);
    }
  }

  private async read(hour: number): Promise<Counters> {
    const key = this.keys.counts(hour);
    return this.redis.runFor(key, async (redis) => parseCounts(await redis.hgetall(key)));
  }

  private hour(): number {
    return Math.floor(this.now() / HOUR_MS);
  }
}

function namedCounts(counted: Counters): (string | number)[] {
  const named: (string | number)[] = [];
  const add = (name: string, count: number) => {
    if (count !== 0) named.push(name, count);
  };
  for (const name of SUMS) add(name, counted[name]);
  for (const [policy, bySource] of counted.decisions)
    for (const [source, { allowed, refused }] of bySource) {
      add(`${policy}:${source}:allowed`, allowed);
      add(`${policy}:${source}:refused`, refused);
    }
  return named;
}

function parseCounts(fields: Readonly<Record<string, string>>): Counters {
  // ioredis makes an object of a list, and passes on anything else.
  if (typeof fields !== "object") throw new UnexpectedReplyError("fields", fields);
  const counters = new Counters();
  for (const name of [...SUMS, "lagMaxMs"] as const) counters[name] = Number(fields[name] ?? 0);
  for (const [name, count] of Object.entries(fields)) {
    const [policy, source, outcome] = name.split(":");
    if (source === undefined) continue;
    const isAllowed = outcome === "allowed";
    counters.addDecisions(policy!, source, isAllowed ? Number(count) : 0, isAllowed ? 0 : Number(count));
  }
  return counters;
}
