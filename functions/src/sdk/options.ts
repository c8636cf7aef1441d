import type { Firestore } from "firebase-admin/firestore";

import { readServiceConfig, type ServiceConfig } from "../config/config";
import type { ParamName } from "../config/param-specs";
import type { LogSink } from "../observability/logs";
import type { PolicyInput } from "../rate-limit/policy";
import { formatValue, InvalidArgumentError, readOptions } from "../validation";

/**
 * Settings of {@link createRedisQuota}. An option that is left out is read from the environment: from `REDIS_QUOTA_` and
 * the name of the param (`mode` is REDIS_QUOTA_MODE). Without a host of these, REDIS_HOST and REDIS_PORT have the address.
 * Settings that the extension has too must be the same in both.
 */
export interface RedisQuotaOptions {
  /** Host name or IP address of Redis, or the Secret Manager resource that holds it: `projects/PROJECT/secrets/SECRET`. */
  readonly redisHost?: string;
  /** 6379 by default; or the Secret Manager resource that holds it. */
  readonly redisPort?: number | string;
  /** Whether Redis is one server, `standalone`, the default, or a Redis Cluster, `cluster`. */
  readonly redisTopology?: ServiceConfig["redis"]["topology"];
  /** Secret Manager resource that holds Redis's password. No password by default. */
  readonly redisAuthSecret?: string;
  /** Whether to encrypt the connection to Redis: false by default. */
  readonly redisTls?: boolean;
  /** Secret Manager resource with the PEM certificates to trust for Redis. By default those that Node.js trusts. */
  readonly redisCaSecret?: string;
  /** Limit of one operation in Redis, connecting included, before the fallback answers: 10 to 2000; 100 by default. */
  readonly redisTimeoutMs?: number;
  /** What every key begins with: `frq` by default. */
  readonly keyPrefix?: string;
  /** Which store decides: `dual-write` by default. */
  readonly mode?: ServiceConfig["quota"]["mode"];
  /** Collection of the provider documents: `providers` by default. */
  readonly quotaCollectionPath?: string;
  /** Field with what a provider has used: `aiCallsUsed` by default. */
  readonly quotaUsedField?: string;
  /** Field with what a provider may use: `aiCallsLimit` by default. */
  readonly quotaLimitField?: string;
  /** Limit of a provider whose document names none: 100 by default. */
  readonly quotaDefaultLimit?: number;
  /** How long Redis keeps a quota that does not change: 120 or more; 300 by default. */
  readonly quotaTtlSeconds?: number;
  /** What holds for a provider without a document: `default-limit`, the default, or `deny`. */
  readonly missingProvider?: ServiceConfig["quota"]["missingProvider"];
  /** Collection of the sessions: `redisQuotaSessions` by default. */
  readonly sessionCollectionPath?: string;
  /** How long a session lives after its last `set` or `touch`: 60 or more; 3600 by default. */
  readonly sessionTtlSeconds?: number;
  /** Rate-limit policies; in the environment, a JSON array of them. None by default. */
  readonly rateLimitPolicies?: readonly PolicyInput[];
  /** Collection whose documents are policies too, in force within seconds of a change. None by default. */
  readonly rateLimitPolicyCollection?: string;
  /**
   * IP addresses or CIDR blocks, separated by commas, of the proxies between your clients and Google's front end. Policies
   * by IP address skip them in X-Forwarded-For. None by default.
   */
  readonly trustedProxies?: string;
  /** Id of the Firestore database: `(default)` by default. Without effect beside `firestore`. */
  readonly database?: string;
  /** Client of the database with the provider documents: firebase-admin's for `database`, unless told. */
  readonly firestore?: Firestore;
  /** Where log entries go: to Cloud Logging as `firebase-functions/logger` writes them, unless told. */
  readonly log?: LogSink;
}

type Setting = Exclude<keyof RedisQuotaOptions, "firestore" | "log">;

/** The param of each setting, and the types of its values. */
const SETTINGS: Readonly<Record<Setting, readonly [ParamName, ...("string" | "number" | "boolean")[]]>> = {
  redisHost: ["REDIS_HOST", "string"],
  redisPort: ["REDIS_PORT", "number", "string"],
  redisTopology: ["REDIS_TOPOLOGY", "string"],
  redisAuthSecret: ["REDIS_AUTH_SECRET", "string"],
  redisTls: ["REDIS_TLS", "boolean"],
  redisCaSecret: ["REDIS_CA_SECRET", "string"],
  redisTimeoutMs: ["REDIS_TIMEOUT_MS", "number"],
  keyPrefix: ["KEY_PREFIX", "string"],
  mode: ["MODE", "string"],
  quotaCollectionPath: ["QUOTA_COLLECTION_PATH", "string"],
  quotaUsedField: ["QUOTA_USED_FIELD", "string"],
  quotaLimitField: ["QUOTA_LIMIT_FIELD", "string"],
  quotaDefaultLimit: ["QUOTA_DEFAULT_LIMIT", "number"],
  quotaTtlSeconds: ["QUOTA_TTL_SECONDS", "number"],
  missingProvider: ["MISSING_PROVIDER", "string"],
  sessionCollectionPath: ["SESSION_COLLECTION_PATH", "string"],
  sessionTtlSeconds: ["SESSION_TTL_SECONDS", "number"],
  rateLimitPolicies: ["RATE_LIMIT_POLICIES"],
  rateLimitPolicyCollection: ["RATE_LIMIT_POLICY_COLLECTION", "string"],
  trustedProxies: ["TRUSTED_PROXIES", "string"],
  database: ["DATABASE", "string"],
};

/** The names of all settings. */
export const SETTING_NAMES = Object.keys(SETTINGS) as Setting[];

type Settings = Pick<RedisQuotaOptions, Setting>;

/** What `createRedisQuota` was given: the settings, and the objects to use. */
interface GivenOptions {
  readonly settings: Settings;
  readonly firestore: Firestore | undefined;
  readonly log: LogSink | undefined;
}

/**
 * Copies the options, without the values of the settings being checked: these are known to be right or wrong when the
 * environment is read.
 *
 * @throws InvalidArgumentError
 */
export function readRedisQuotaOptions(options: RedisQuotaOptions | undefined): GivenOptions {
  const { firestore, log, ...settings } = readOptions(options, [...SETTING_NAMES, "firestore", "log"]);
  if (firestore !== undefined)
    requireMethods("firestore", firestore, ["collection", "doc"], "a Firestore client");
  if (log !== undefined) requireFunction("log", log);
  return { settings, firestore, log };
}

/** @throws InvalidArgumentError */
export function requireFunction(field: string, value: unknown): void {
  if (typeof value !== "function") throw new InvalidArgumentError(field, "a function", formatValue(value));
}

/** @throws InvalidArgumentError */
export function requireMethods(
  field: string,
  value: unknown,
  methods: readonly string[],
  expected: string,
): void {
  try {
    const object = value as Readonly<Record<string, unknown>>;
    if (methods.every((method) => typeof object[method] === "function")) return;
  } catch {
    // Neither null nor a hostile proxy has methods.
  }
  throw new InvalidArgumentError(field, expected, formatValue(value));
}

/**
 * The settings, and for those left out the environment, checked.
 *
 * @param environment `REDIS_QUOTA_*`, REDIS_HOST and REDIS_PORT; none if only the options count
 * @throws ConfigError naming every invalid setting as the user wrote it: the option, or else the variable
 */
export function parseOptions(
  settings: Settings,
  environment?: Readonly<Record<string, string | undefined>>,
): ServiceConfig {
  const values: Partial<Record<ParamName, string>> = {};
  const names: Partial<Record<ParamName, string>> = {};
  const mistyped = new Map<ParamName, unknown>();
  // Another Redis of the app may be at REDIS_PORT; it goes with REDIS_HOST only.
  const hasOwnHost = settings.redisHost !== undefined || environment?.["REDIS_QUOTA_REDIS_HOST"];
  for (const setting of SETTING_NAMES) {
    const [param, ...types] = SETTINGS[setting];
    const value: unknown = settings[setting];
    if (value !== undefined) {
      names[param] = setting;
      if ((types as string[]).includes(typeof value)) values[param] = String(value);
      else if (setting !== "rateLimitPolicies") mistyped.set(param, value);
      continue;
    }
    const isAddress = param === "REDIS_HOST" || param === "REDIS_PORT";
    const own = `REDIS_QUOTA_${param}`;
    const name = isAddress && !hasOwnHost && !environment?.[own] ? param : own;
    names[param] = environment === undefined ? setting : name;
    const inEnvironment = environment?.[name]?.trim();
    if (inEnvironment !== undefined) values[param] = inEnvironment;
  }
  return readServiceConfig({ values, names, mistyped, policies: settings.rateLimitPolicies });
}
