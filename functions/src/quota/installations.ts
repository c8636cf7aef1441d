import { anyExists } from "../redis/any-exists";
import { RedisUnavailableError } from "../redis/connection";
import { Keys } from "../redis/keys";
import type { RedisServers } from "../redis/redis-servers";
import { asList, asNumber, asText } from "../redis/reply";

/** Hash of the installations on a server: for each key prefix, the collection that it counts usage of in redis-primary. */
const INSTALLATIONS = "firestore-redis-quota:installations";

/** A process looks for conflicts at most this often. */
const CONFIRMED_FOR_MS = 60_000;

const SCAN_COUNT = 1000;
const MAX_SCAN_STEPS = 100;

/** A collection of provider documents. The project is undefined where it is not known. */
export interface QuotaSource {
  readonly project?: string | undefined;
  readonly database: string;
  readonly collection: string;
}

/** A key prefix, and the collection that it counts usage of; undefined if it is not registered. */
export interface Installation {
  readonly keyPrefix: string;
  readonly source: QuotaSource | undefined;
}

/** Redis counts the usage of this collection under another key prefix, or that of another collection under this one. */
export class InstallationConflictError extends Error {
  override readonly name = "InstallationConflictError";
  readonly code = "installation-conflict";
}

/**
 * Remembers in Redis which collection a key prefix counts usage of, so that a changed KEY_PREFIX or
 * QUOTA_COLLECTION_PATH neither leaves usage behind nor adds it to documents of another collection.
 */
export class Installations {
  private confirmedMs: number | undefined;
  private confirming: Promise<void> | undefined;
  private hasConflict = false;

  constructor(
    private readonly redis: RedisServers,
    readonly keyPrefix: string,
    readonly source: QuotaSource,
    private readonly options: {
      /** Whether this installation counts usage in Redis: then only one key prefix may, and for one collection. */
      readonly counts: boolean;
      /** Whether it is registered when it counts. */
      readonly registers: boolean;
    },
    private readonly onConflict: (error: InstallationConflictError) => void,
  ) {}

  /**
   * Redis for this installation's quotas: every command fails with an {@link InstallationConflictError} while there is a
   * conflict. The first command waits for the look at the other installations; none waits for a later one.
   */
  guard(): RedisServers {
    const { redis } = this;
    return {
      isCluster: redis.isCluster,
      address: redis.address,
      runFor: (key, command, startedMs) => {
        const confirming = this.confirmed();
        if (confirming === undefined) return redis.runFor(key, command, startedMs);
        const beganMs = startedMs ?? performance.now();
        return confirming.then(() => redis.runFor(key, command, beganMs));
      },
      masters: async () => {
        await this.confirmed();
        return redis.masters();
      },
      close: () => redis.close(),
    };
  }

  /**
   * Looks for a conflict, and registers the installation if it counts usage in Redis.
   *
   * @throws InstallationConflictError, RedisUnavailableError
   */
  async confirm(): Promise<void> {
    const beganMs = performance.now();
    try {
      for (let isRegistered = false; !isRegistered;) {
        const all = await this.list(beganMs);
        const own = all.find(({ keyPrefix }) => keyPrefix === this.keyPrefix);
        await this.requireNoConflict(own, all, beganMs);
        // If another instance is faster, it may have other params.
        isRegistered = own !== undefined || (await this.register(beganMs));
      }
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      // The command that waits for this is not sent.
      throw new RedisUnavailableError(this.redis.address, "not-executed", error.cause);
    }
    this.hasConflict = false;
    this.confirmedMs = performance.now();
  }

  /** Other key prefixes with usage that Firestore lacks: those registered, and those that a bounded search finds. */
  async unsyncedOthers(): Promise<Installation[]> {
    const others = new Map((await this.list()).map((each) => [each.keyPrefix, each]));
    for (const master of await this.redis.masters()) {
      let cursor = "0";
      for (let step = 0; step < MAX_SCAN_STEPS; step++) {
        const [next, keys] = await master.run((redis) =>
          redis
            .scan(cursor, "MATCH", Keys.ANY_DIRTY, "COUNT", SCAN_COUNT, "TYPE", "zset")
            .then((reply) => asList(reply, 2)),
        );
        for (const keyPrefix of asList(keys).map((key) => Keys.prefixOf(asText(key))))
          if (!others.has(keyPrefix)) others.set(keyPrefix, { keyPrefix, source: undefined });
        cursor = asText(next);
        if (cursor === "0") break;
      }
    }
    others.delete(this.keyPrefix);
    const unsynced: Installation[] = [];
    for (const other of others.values()) if (await this.hasUnsynced(other)) unsynced.push(other);
    return unsynced;
  }

  /** Forgets what this key prefix counts, so that it can count the usage of another collection, or another prefix this one's. */
  async unregister(): Promise<void> {
    await unlessDenied(
      this.redis.runFor(INSTALLATIONS, (redis) => redis.hdel(INSTALLATIONS, this.keyPrefix).then(asNumber)),
      0,
    );
  }

  /** The look that a command has to wait for; undefined if there is none. */
  private confirmed(): Promise<void> | undefined {
    const { confirmedMs } = this;
    if (confirmedMs !== undefined && !this.hasConflict && performance.now() - confirmedMs < CONFIRMED_FOR_MS)
      return undefined;
    this.confirming ??= this.confirm().finally(() => (this.confirming = undefined));
    if (confirmedMs === undefined || this.hasConflict) return this.confirming;
    this.confirming.catch(() => {});
    return undefined;
  }

  private list(startedMs?: number): Promise<Installation[]> {
    const list = this.redis.runFor(
      INSTALLATIONS,
      async (redis) => {
        const sources = Object.entries(await redis.hgetall(INSTALLATIONS));
        return sources.map(([keyPrefix, source]) => ({ keyPrefix, source: parseSource(source) }));
      },
      startedMs,
    );
    return unlessDenied(list, []);
  }

  /** False if another instance was faster. */
  private async register(startedMs: number): Promise<boolean> {
    const { counts, registers } = this.options;
    if (!(counts && registers)) return true;
    const source = JSON.stringify(this.source);
    const added = this.redis.runFor(
      INSTALLATIONS,
      (redis) => redis.hsetnx(INSTALLATIONS, this.keyPrefix, source).then(asNumber),
      startedMs,
    );
    return (await unlessDenied(added, 1)) === 1;
  }

  private async requireNoConflict(
    own: Installation | undefined,
    all: readonly Installation[],
    startedMs: number,
  ): Promise<void> {
    // Instances that count for a registered installation may still be running, unless this is a mode that counts nothing.
    const conflicts = async (installation: Installation) =>
      this.options.counts || (await this.hasUnsynced(installation, startedMs));
    if (own?.source && !isSame(own.source, this.source) && (await conflicts(own)))
      this.report(
        `KEY_PREFIX ${this.keyPrefix} counts usage of ${describeSource(own.source)} in this Redis, ` +
          `but the params name ${describeSource(this.source)}. Set the collection, database or project back`,
      );
    for (const other of all)
      if (other !== own && other.source && isSame(other.source, this.source) && (await conflicts(other)))
        this.report(
          `KEY_PREFIX is ${this.keyPrefix}, but this Redis counts usage of ${describeSource(other.source)} ` +
            `under KEY_PREFIX ${other.keyPrefix}. Set KEY_PREFIX back`,
        );
  }

  private report(problem: string): never {
    this.hasConflict = true;
    const error = new InstallationConflictError(
      `${problem}, set MODE to dual-write or firestore, deploy, and run rollback until nothing is left. Then change it.`,
    );
    this.onConflict(error);
    throw error;
  }

  private hasUnsynced({ keyPrefix }: Installation, startedMs?: number): Promise<boolean> {
    return unlessDenied(anyExists(this.redis, new Keys(keyPrefix).allDirty(), startedMs), false);
  }
}

/** A collection as messages name it. */
export function describeSource({ project, database, collection }: QuotaSource): string {
  return `the collection ${collection} (database ${database}${project === undefined ? "" : `, project ${project}`})`;
}

/** A key prefix as messages name it. */
export function describeInstallation({ keyPrefix, source }: Installation): string {
  return `KEY_PREFIX ${keyPrefix}${source === undefined ? "" : ` for ${describeSource(source)}`}`;
}

function isSame(one: QuotaSource, other: QuotaSource): boolean {
  const isSameProject =
    one.project === undefined || other.project === undefined || one.project === other.project;
  return isSameProject && one.database === other.database && one.collection === other.collection;
}

function parseSource(json: string): QuotaSource | undefined {
  try {
    const source = JSON.parse(json) as Partial<QuotaSource> | null;
    return typeof source?.database === "string" && typeof source.collection === "string"
      ? (source as QuotaSource)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The result of a command, or `fallback` for a Redis user that is limited to the keys with a prefix. */
async function unlessDenied<T>(command: Promise<T>, fallback: T): Promise<T> {
  try {
    return await command;
  } catch (error) {
    if (error instanceof RedisUnavailableError && error.cause.message.startsWith("NOPERM")) return fallback;
    throw error;
  }
}
