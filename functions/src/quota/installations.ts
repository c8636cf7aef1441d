import { anyExists } from "../redis/any-exists";
import { isDenied, RedisUnavailableError } from "../redis/connection";
import { Keys } from "../redis/keys";
import type { RedisServers } from "../redis/redis-servers";
import { asList, asNumber, asText } from "../redis/reply";

/** A process looks for conflicts at most this often. */
const CONFIRMED_FOR_MS = 60_000;

const SCAN_COUNT = 1000;
const MAX_SCAN_STEPS = 100;

/** A collection of provider documents. The project is undefined where it is not known. */
export interface ProviderCollection {
  readonly project?: string | undefined;
  readonly database: string;
  readonly collection: string;
}

/** A key prefix, and the collection that it counts usage of; undefined if it is not registered. */
export interface Installation {
  readonly keyPrefix: string;
  readonly source: ProviderCollection | undefined;
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
    readonly source: ProviderCollection,
    private readonly options: {
      /** Whether this installation counts usage in Redis. Only one key prefix can count the usage of a collection. */
      readonly isCounting: boolean;
      /** Whether this process registers an installation that counts usage in Redis. */
      readonly canRegister: boolean;
    },
    private readonly onConflict: (error: InstallationConflictError) => void,
  ) {}

  /**
   * Redis for this installation's quotas: every command fails with an {@link InstallationConflictError} while there is a
   * conflict. The first command waits for the check; none waits for a later check.
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
      // If another instance registers first, it may have other params.
      while (!(await this.tryConfirm(beganMs)));
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      // The command that waits for this is not sent.
      throw new RedisUnavailableError(this.redis.address, "not-executed", error.cause);
    }
    this.hasConflict = false;
    this.confirmedMs = performance.now();
  }

  /**
   * Other key prefixes with usage that Firestore lacks: those registered, and those that a bounded search finds.
   *
   * @throws RedisUnavailableError, also if the Redis user may not look for them
   */
  async unsyncedOthers(): Promise<Installation[]> {
    const registered = new Map((await this.list()).map((each) => [each.keyPrefix, each]));
    registered.delete(this.keyPrefix);
    const unsynced = new Set<string>();
    for (const master of await this.redis.masters()) {
      let cursor = "0";
      for (let step = 0; step < MAX_SCAN_STEPS; step++) {
        const [next, keys] = await master.run((redis) =>
          redis
            .scan(cursor, "MATCH", Keys.ANY_DIRTY, "COUNT", SCAN_COUNT, "TYPE", "zset")
            .then((reply) => asList(reply, 2)),
        );
        for (const key of asList(keys).map(asText)) {
          const keyPrefix = Keys.prefixOf(key);
          if (new Keys(keyPrefix).allDirty().includes(key)) unsynced.add(keyPrefix);
        }
        cursor = asText(next);
        if (cursor === "0") break;
      }
    }
    unsynced.delete(this.keyPrefix);
    for (const [keyPrefix, other] of registered)
      if (!unsynced.has(keyPrefix) && (await this.hasUnsynced(other))) unsynced.add(keyPrefix);
    return Array.from(unsynced, (keyPrefix) => registered.get(keyPrefix) ?? { keyPrefix, source: undefined });
  }

  /** Forgets what this key prefix counts, so that it can count the usage of another collection, or another prefix this one's. */
  async unregister(): Promise<void> {
    const removed = this.redis.runFor(Keys.INSTALLATIONS, (redis) =>
      redis.hdel(Keys.INSTALLATIONS, this.keyPrefix).then(asNumber),
    );
    await unlessDenied(removed, 0);
  }

  /** Starts a check if one is due. Returns it if the next command has to wait for it. */
  private confirmed(): Promise<void> | undefined {
    const { confirmedMs } = this;
    if (confirmedMs !== undefined && !this.hasConflict && performance.now() - confirmedMs < CONFIRMED_FOR_MS)
      return undefined;
    this.confirming ??= this.confirm().finally(() => (this.confirming = undefined));
    if (confirmedMs === undefined || this.hasConflict) return this.confirming;
    this.confirming.catch(() => {});
    return undefined;
  }

  /** Returns false if another instance registers the key prefix in the meantime. */
  private async tryConfirm(startedMs: number): Promise<boolean> {
    const all = await unlessDenied(this.list(startedMs), []);
    const own = all.find(({ keyPrefix }) => keyPrefix === this.keyPrefix);
    await this.requireNoConflict(own, all, startedMs);
    return own !== undefined || this.register(startedMs);
  }

  private list(startedMs?: number): Promise<Installation[]> {
    return this.redis.runFor(
      Keys.INSTALLATIONS,
      async (redis) => {
        const sources = Object.entries(await redis.hgetall(Keys.INSTALLATIONS));
        return sources.map(([keyPrefix, source]) => ({ keyPrefix, source: parseSource(source) }));
      },
      startedMs,
    );
  }

  private async register(startedMs: number): Promise<boolean> {
    const { isCounting, canRegister } = this.options;
    if (!(isCounting && canRegister)) return true;
    const source = JSON.stringify(this.source);
    const added = this.redis.runFor(
      Keys.INSTALLATIONS,
      (redis) => redis.hsetnx(Keys.INSTALLATIONS, this.keyPrefix, source).then(asNumber),
      startedMs,
    );
    if ((await unlessDenied(added, 1)) !== 1) return false;
    // Another key prefix of this collection may have been registered at the same time. Then neither stays registered.
    const all = await unlessDenied(this.list(startedMs), []);
    await this.requireNoConflict(
      undefined,
      all.filter(({ keyPrefix }) => keyPrefix !== this.keyPrefix),
      startedMs,
    ).catch(async (error: unknown) => {
      await this.unregister();
      throw error;
    });
    return true;
  }

  private async requireNoConflict(
    own: Installation | undefined,
    all: readonly Installation[],
    startedMs: number,
  ): Promise<void> {
    // Instances that count for a registered installation may still be running, unless this is a mode that counts nothing.
    const conflicts = async (installation: Installation) =>
      this.options.isCounting || (await this.hasUnsynced(installation, startedMs));
    if (own?.source && !isSame(own.source, this.source) && (await conflicts(own)))
      this.report(
        `KEY_PREFIX ${this.keyPrefix} counts usage of ${describeSource(own.source)} in this Redis, ` +
          `but the params name ${describeSource(this.source)}. Set the collection, database or project back`,
      );
    // The CLI can always bring the usage of its key prefix to Firestore, also where others count, too.
    const { isCounting, canRegister } = this.options;
    if (!isCounting && !canRegister && (await this.hasUnsynced(this, startedMs))) return;
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

  private hasUnsynced({ keyPrefix }: Pick<Installation, "keyPrefix">, startedMs?: number): Promise<boolean> {
    return unlessDenied(anyExists(this.redis, new Keys(keyPrefix).allDirty(), startedMs), false);
  }
}

/** A collection as messages name it. */
export function describeSource({ project, database, collection }: ProviderCollection): string {
  return `the collection ${collection} (database ${database}${project === undefined ? "" : `, project ${project}`})`;
}

/** A key prefix as messages name it. */
export function describeInstallation({ keyPrefix, source }: Installation): string {
  return `KEY_PREFIX ${keyPrefix}${source === undefined ? "" : ` for ${describeSource(source)}`}`;
}

function isSame(one: ProviderCollection, other: ProviderCollection): boolean {
  const isSameProject =
    one.project === undefined || other.project === undefined || one.project === other.project;
  return isSameProject && one.database === other.database && one.collection === other.collection;
}

function parseSource(json: string): ProviderCollection | undefined {
  try {
    const source = JSON.parse(json) as Partial<ProviderCollection> | null;
    return typeof source?.database === "string" && typeof source.collection === "string"
      ? (source as ProviderCollection)
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
    if (isDenied(error)) return fallback;
    throw error;
  }
}
