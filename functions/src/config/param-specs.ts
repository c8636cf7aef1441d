/** What one param accepts. `expected` completes the sentence "expected …" of an error. */
export interface ParamSpec {
  readonly default?: string;
  readonly pattern?: RegExp;
  readonly options?: readonly string[];
  readonly required: boolean;
  readonly expected: string;
  /** Bad values that no error shows, as they may be secrets in the wrong place. */
  readonly hidden?: RegExp;
}

const COLLECTION_PATH = /^[^/{}\s]+(\/[^/{}\s]+\/[^/{}\s]+)*$/;
const ANYTHING = /^/;
const FIELD_PATH = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;

/**
 * Every param of the extension's form: the same names, defaults, patterns and options as in extension.yaml, which a
 * test compares with this table.
 */
export const PARAM_SPECS = {
  LOCATION: {
    default: "europe-west1",
    options: [
      "us-central1",
      "us-east1",
      "us-east4",
      "us-west2",
      "us-west3",
      "us-west4",
      "northamerica-northeast1",
      "southamerica-east1",
      "europe-west1",
      "europe-west2",
      "europe-west3",
      "europe-west6",
      "europe-central2",
      "asia-east1",
      "asia-east2",
      "asia-northeast1",
      "asia-northeast2",
      "asia-northeast3",
      "asia-south1",
      "asia-southeast1",
      "asia-southeast2",
      "australia-southeast1",
    ],
    required: true,
    expected: "a region of Cloud Functions",
  },
  REDIS_HOST: {
    pattern:
      /^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|projects\/[^/\s]+\/secrets\/[A-Za-z0-9_-]+(\/versions\/[A-Za-z0-9_-]+)?)$/,
    required: true,
    expected:
      "a host name or an IP address, without a scheme or a port (the port goes into REDIS_PORT), or projects/PROJECT/secrets/SECRET",
    hidden: /@/,
  },
  REDIS_PORT: {
    default: "6379",
    pattern: /^([0-9]{1,5}|projects\/[^/\s]+\/secrets\/[A-Za-z0-9_-]+(\/versions\/[A-Za-z0-9_-]+)?)$/,
    required: true,
    expected: "a port number from 1 to 65535, or projects/PROJECT/secrets/SECRET",
  },
  REDIS_AUTH_SECRET: {
    pattern: /^projects\/[^/\s]+\/secrets\/[A-Za-z0-9_-]+(\/versions\/[A-Za-z0-9_-]+)?$/,
    required: false,
    expected: "nothing, or projects/PROJECT/secrets/SECRET with the password in it",
    hidden: ANYTHING,
  },
  REDIS_TLS: {
    default: "false",
    options: ["false", "true"],
    required: true,
    expected: "true or false",
  },
  REDIS_CA_SECRET: {
    pattern: /^projects\/[^/\s]+\/secrets\/[A-Za-z0-9_-]+(\/versions\/[A-Za-z0-9_-]+)?$/,
    required: false,
    expected: "nothing, or projects/PROJECT/secrets/SECRET with the certificate in it",
    hidden: ANYTHING,
  },
  VPC_CONNECTOR: {
    pattern: /^projects\/[^/]+\/locations\/[a-z0-9-]+\/connectors\/[a-z][a-z0-9-]*$/,
    required: true,
    expected: "projects/PROJECT/locations/REGION/connectors/CONNECTOR",
  },
  VPC_CONNECTOR_EGRESS_SETTINGS: {
    default: "PRIVATE_RANGES_ONLY",
    options: ["PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"],
    required: true,
    expected: "PRIVATE_RANGES_ONLY or ALL_TRAFFIC",
  },
  MODE: {
    default: "dual-write",
    options: ["firestore", "dual-write", "redis-primary"],
    required: true,
    expected: "firestore, dual-write or redis-primary",
  },
  SYNC_SCHEDULE: {
    default: "every 5 minutes",
    pattern: /^(every .+|(\S+\s+){4}\S+)$/,
    required: true,
    expected: "a schedule such as every 5 minutes, or five cron fields",
  },
  QUOTA_COLLECTION_PATH: {
    default: "providers",
    pattern: COLLECTION_PATH,
    required: true,
    expected: "the path of a collection, such as providers or tenants/acme/providers, without wildcards",
  },
  QUOTA_USED_FIELD: {
    default: "aiCallsUsed",
    pattern: FIELD_PATH,
    required: true,
    expected: "a field name, with dots for a field inside a map",
  },
  QUOTA_LIMIT_FIELD: {
    default: "aiCallsLimit",
    pattern: FIELD_PATH,
    required: true,
    expected: "a field name, with dots for a field inside a map",
  },
  QUOTA_DEFAULT_LIMIT: {
    default: "100",
    pattern: /^[0-9]{1,15}$/,
    required: true,
    expected: "a whole number, 0 or more, of at most 15 digits",
  },
  MISSING_PROVIDER: {
    default: "default-limit",
    options: ["default-limit", "deny"],
    required: true,
    expected: "default-limit or deny",
  },
  QUOTA_TTL_SECONDS: {
    default: "300",
    pattern: /^[0-9]{3,7}$/,
    required: true,
    expected: "a number of seconds from 120 to 2592000",
  },
  ON_CHANGE: {
    default: "update",
    options: ["update", "invalidate"],
    required: true,
    expected: "update or invalidate",
  },
  SESSION_COLLECTION_PATH: {
    default: "sessions",
    pattern: /^[^/{}\s]+(\/[^/{}\s]+\/[^/{}\s]+)*$/,
    required: true,
    expected: "the path of a collection, such as sessions or tenants/acme/sessions, without wildcards",
  },
  SESSION_TTL_SECONDS: {
    default: "3600",
    pattern: /^[0-9]{2,7}$/,
    required: true,
    expected: "a number of seconds from 60 to 2592000",
  },
  RATE_LIMIT_POLICIES: {
    default: "[]",
    required: false,
    expected: "a JSON array of policies",
  },
  RATE_LIMIT_POLICY_COLLECTION: {
    pattern: COLLECTION_PATH,
    required: false,
    expected: "nothing, or the path of a collection, such as rateLimitPolicies, without wildcards",
  },
  ENFORCE_APP_CHECK: {
    default: "false",
    options: ["false", "true"],
    required: true,
    expected: "true or false",
  },
  BACKFILL_ON_INSTALL: {
    default: "false",
    options: ["false", "true"],
    required: true,
    expected: "true or false",
  },
  ADMIN_CLAIM: {
    default: "admin",
    pattern: /^[A-Za-z_][A-Za-z0-9_]{0,63}$/,
    required: true,
    expected: "the name of a custom claim",
  },
  KEY_PREFIX: {
    default: "frq",
    pattern: /^[A-Za-z0-9_-]{1,32}$/,
    required: true,
    expected: "1 to 32 letters, digits, hyphens or underscores",
  },
  REDIS_TIMEOUT_MS: {
    default: "100",
    pattern: /^[0-9]{2,4}$/,
    required: true,
    expected: "a number of milliseconds from 10 to 2000",
  },
} as const satisfies Record<string, ParamSpec>;

export type ParamName = keyof typeof PARAM_SPECS;

/** Values as the form or a .env file gives them; an optional param left empty reads "" or is absent. */
export type ParamValues = Readonly<Partial<Record<ParamName, string>>>;
