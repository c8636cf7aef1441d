import type { Firestore } from "firebase-admin/firestore";

import { parseServiceConfig, type ServiceConfig } from "../config/config";
import type { ParamName, ParamValues } from "../config/param-specs";
import type { LogSink } from "../observability/logs";
import type { PolicyInput } from "../rate-limit/policy";
import { formatValue, validationMessage } from "../validation";

/**
 * Settings of {@link createRedisQuota}. Each is the param of the same name in the environment (`redisHost` is
 * REDIS_HOST), which holds where the option is left out, so that one .env file serves the extension and the app. Those
 * that both have must agree with the extension's.
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
  /** Collection of the sessions: `sessions` by default. */
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

const PARAMS: Readonly<Record<Setting, ParamName>> = {
  redisHost: "REDIS_HOST",
  redisPort: "REDIS_PORT",
  redisTopology: "REDIS_TOPOLOGY",
  redisAuthSecret: "REDIS_AUTH_SECRET",
  redisTls: "REDIS_TLS",
  redisCaSecret: "REDIS_CA_SECRET",
  redisTimeoutMs: "REDIS_TIMEOUT_MS",
  keyPrefix: "KEY_PREFIX",
  mode: "MODE",
  quotaCollectionPath: "QUOTA_COLLECTION_PATH",
  quotaUsedField: "QUOTA_USED_FIELD",
  quotaLimitField: "QUOTA_LIMIT_FIELD",
  quotaDefaultLimit: "QUOTA_DEFAULT_LIMIT",
  quotaTtlSeconds: "QUOTA_TTL_SECONDS",
  missingProvider: "MISSING_PROVIDER",
  sessionCollectionPath: "SESSION_COLLECTION_PATH",
  sessionTtlSeconds: "SESSION_TTL_SECONDS",
  rateLimitPolicies: "RATE_LIMIT_POLICIES",
  rateLimitPolicyCollection: "RATE_LIMIT_POLICY_COLLECTION",
  trustedProxies: "TRUSTED_PROXIES",
  database: "DATABASE",
};

/** An option has a name that none has. */
export class UnknownOptionError extends Error {
  override readonly name = "UnknownOptionError";
  readonly code = "invalid-config";

  constructor(readonly option: string) {
    const expected = `an object with only ${Object.keys(PARAMS).join(", ")}, firestore and log`;
    super(validationMessage("options", expected, `the unknown option ${formatValue(option)}`));
  }
}

type Settings = Omit<RedisQuotaOptions, "firestore" | "log">;

/** @throws UnknownOptionError */
export function requireKnownOptions(settings: Settings): void {
  const unknown = Object.keys(settings).find((option) => !Object.hasOwn(PARAMS, option));
  if (unknown !== undefined) throw new UnknownOptionError(unknown);
}

/**
 * The options, and for those left out the environment, checked.
 *
 * @throws ConfigError naming every bad param, what it got and what is valid
 */
export function parseOptions(settings: Settings, environment: ParamValues): ServiceConfig {
  const values: Partial<Record<ParamName, string>> = { ...environment };
  for (const [option, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    values[PARAMS[option as Setting]] = typeof value === "object" ? JSON.stringify(value) : String(value);
  }
  return parseServiceConfig(values);
}
