import { HOST, PORT } from "../server-address";

/** What one param accepts. `expected` are its values, as they follow "Expected `PARAM` to be"; one that is not required may be empty. */
export interface ParamSpec {
  /** What a form, or the CLI where it asks, calls the param. */
  readonly label: string;
  /** What the CLI says about the param, where extension.yaml does not say it. */
  readonly description?: string;
  readonly default?: string;
  /** What the form and the functions both check a value with. */
  readonly pattern?: RegExp;
  readonly options?: readonly string[];
  readonly required: boolean;
  readonly expected: string;
  /** Bad values that no error shows, as they may be secrets in the wrong place. */
  readonly hidden?: RegExp;
}

const COLLECTION_PATH = /^[^/{}\s]+(\/[^/{}\s]+\/[^/{}\s]+)*$/;
const SECRET = String.raw`projects/[^/\s]+/secrets/[A-Za-z0-9_-]+(/versions/[A-Za-z0-9_-]+)?`;
const ANYTHING = /^/;
const FIELD_PATH = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;

/**
 * Every param of the extension's form: the same names, labels, defaults, patterns and options as in extension.yaml,
 * which a test compares with this table.
 */
export const EXTENSION_PARAM_SPECS = {
  LOCATION: {
    label: "Cloud Functions location",
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
    label: "Redis host",
    pattern: new RegExp(`^(${HOST}|${SECRET})$`),
    required: true,
    expected: "a host name or an IP address, without a scheme or a port, or projects/PROJECT/secrets/SECRET",
    hidden: /@/,
  },
  REDIS_PORT: {
    label: "Redis port",
    default: "6379",
    pattern: new RegExp(`^(${PORT}|${SECRET})$`),
    required: true,
    expected: "a port number from 1 to 65535, or projects/PROJECT/secrets/SECRET",
  },
  REDIS_TOPOLOGY: {
    label: "Kind of Redis",
    default: "standalone",
    options: ["standalone", "cluster"],
    required: true,
    expected: "standalone or cluster",
  },
  REDIS_AUTH_SECRET: {
    label: "Secret with the Redis password",
    pattern: new RegExp(`^${SECRET}$`),
    required: false,
    expected: "projects/PROJECT/secrets/SECRET with the password in it",
    hidden: ANYTHING,
  },
  REDIS_TLS: {
    label: "Encrypt the connection to Redis",
    default: "false",
    options: ["false", "true"],
    required: true,
    expected: "true or false",
  },
  REDIS_CA_SECRET: {
    label: "Secret with the certificate of Redis's authority",
    pattern: new RegExp(`^${SECRET}$`),
    required: false,
    expected: "projects/PROJECT/secrets/SECRET with the certificate in it",
    hidden: ANYTHING,
  },
  VPC_CONNECTOR: {
    label: "Serverless VPC Access connector",
    pattern: /^projects\/[^/]+\/locations\/[a-z0-9-]+\/connectors\/[a-z][a-z0-9-]*$/,
    required: true,
    expected: "projects/PROJECT/locations/REGION/connectors/CONNECTOR",
  },
  VPC_CONNECTOR_EGRESS_SETTINGS: {
    label: "VPC connector egress",
    default: "PRIVATE_RANGES_ONLY",
    options: ["PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"],
    required: true,
    expected: "PRIVATE_RANGES_ONLY or ALL_TRAFFIC",
  },
  MODE: {
    label: "Which store decides",
    default: "dual-write",
    options: ["firestore", "dual-write", "redis-primary"],
    required: true,
    expected: "firestore, dual-write or redis-primary",
  },
  SYNC_SCHEDULE: {
    label: "How often Redis is synced to Firestore",
    default: "every 5 minutes",
    pattern: /^(every .+|(\S+\s+){4}\S+)$/,
    required: true,
    expected: "a schedule such as every 5 minutes, or five cron fields",
  },
  QUOTA_COLLECTION_PATH: {
    label: "Quota collection",
    default: "providers",
    pattern: COLLECTION_PATH,
    required: true,
    expected: "the path of a collection, such as providers or tenants/acme/providers, without wildcards",
  },
  QUOTA_USED_FIELD: {
    label: "Field of the used quota",
    default: "aiCallsUsed",
    pattern: FIELD_PATH,
    required: true,
    expected: "a field name, with dots for a field inside a map",
  },
  QUOTA_LIMIT_FIELD: {
    label: "Field of the quota's limit",
    default: "aiCallsLimit",
    pattern: FIELD_PATH,
    required: true,
    expected: "a field name, with dots for a field inside a map",
  },
  QUOTA_DEFAULT_LIMIT: {
    label: "Default limit",
    default: "100",
    pattern: /^[0-9]{1,15}$/,
    required: true,
    expected: "a whole number, 0 or more, of at most 15 digits",
  },
  MISSING_PROVIDER: {
    label: "Providers without a document",
    default: "default-limit",
    options: ["default-limit", "deny"],
    required: true,
    expected: "default-limit or deny",
  },
  QUOTA_TTL_SECONDS: {
    label: "Life of a mirrored quota (seconds)",
    default: "300",
    pattern:
      /^(1[2-9][0-9]|[2-9][0-9]{2}|[1-9][0-9]{3,5}|1[0-9]{6}|2[0-4][0-9]{5}|25[0-8][0-9]{4}|259[01][0-9]{3}|2592000)$/,
    required: true,
    expected: "a number of seconds from 120 to 2592000",
  },
  ON_CHANGE: {
    label: "When a provider document changes",
    default: "update",
    options: ["update", "invalidate"],
    required: true,
    expected: "update or invalidate",
  },
  SESSION_COLLECTION_PATH: {
    label: "Session collection",
    default: "redisQuotaSessions",
    pattern: COLLECTION_PATH,
    required: true,
    expected:
      "the path of a collection, such as redisQuotaSessions or tenants/acme/sessions, without wildcards",
  },
  SESSION_TTL_SECONDS: {
    label: "Life of a session (seconds)",
    default: "3600",
    pattern:
      /^([6-9][0-9]|[1-9][0-9]{2,5}|1[0-9]{6}|2[0-4][0-9]{5}|25[0-8][0-9]{4}|259[01][0-9]{3}|2592000)$/,
    required: true,
    expected: "a number of seconds from 60 to 2592000",
  },
  RATE_LIMIT_POLICIES: {
    label: "Rate limit policies (JSON)",
    default: "[]",
    required: false,
    expected: "a JSON array of policies",
  },
  RATE_LIMIT_POLICY_COLLECTION: {
    label: "Collection of rate limit policies",
    pattern: COLLECTION_PATH,
    required: false,
    expected: "the path of a collection, such as rateLimitPolicies, without wildcards",
  },
  TRUSTED_PROXIES: {
    label: "Trusted proxies",
    required: false,
    expected: "IP addresses or CIDR blocks, separated by commas",
  },
  ENFORCE_APP_CHECK: {
    label: "Enforce App Check",
    default: "false",
    options: ["false", "true"],
    required: true,
    expected: "true or false",
  },
  CHECK_ACCESS: {
    label: "Who may check a quota",
    default: "owner",
    options: ["owner", "signed-in"],
    required: true,
    expected: "owner or signed-in",
  },
  BACKFILL_ON_INSTALL: {
    label: "Backfill",
    default: "false",
    options: ["false", "true"],
    required: true,
    expected: "true or false",
  },
  ADMIN_CLAIM: {
    label: "Custom claim of administrators",
    default: "admin",
    pattern: /^[A-Za-z_][A-Za-z0-9_]{0,63}$/,
    required: true,
    expected: "the name of a custom claim, not of one that Firebase sets",
  },
  KEY_PREFIX: {
    label: "Prefix of the Redis keys",
    default: "frq",
    pattern: /^[A-Za-z0-9_-]{1,32}$/,
    required: true,
    expected: "1 to 32 letters, digits, hyphens or underscores",
  },
  REDIS_TIMEOUT_MS: {
    label: "Time limit of a Redis operation (milliseconds)",
    default: "100",
    pattern: /^([1-9][0-9]{1,2}|1[0-9]{3}|2000)$/,
    required: true,
    expected: "a number of milliseconds from 10 to 2000",
  },
} as const satisfies Record<string, ParamSpec>;

/** What the kit takes besides: the network that its functions are in themselves, and the database. */
export const KIT_ONLY_PARAM_SPECS = {
  VPC_NETWORK: {
    label: "VPC network (instead of a connector)",
    description:
      "VPC network that the functions connect to directly (Direct VPC egress). VPC_CONNECTOR is then not used. Takes effect when you set it in the .env file before you deploy.",
    pattern: /^(projects\/[^/\s]+\/global\/networks\/)?[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/,
    required: false,
    expected: "the name of a VPC network, or projects/PROJECT/global/networks/NETWORK",
  },
  VPC_SUBNETWORK: {
    label: "VPC subnetwork (instead of a connector)",
    description:
      "VPC subnetwork that the functions connect to directly. VPC_NETWORK or VPC_SUBNETWORK is enough.",
    pattern: /^(projects\/[^/\s]+\/regions\/[a-z0-9-]+\/subnetworks\/)?[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/,
    required: false,
    expected: "the name of a VPC subnetwork, or projects/PROJECT/regions/REGION/subnetworks/SUBNETWORK",
  },
  DATABASE: {
    label: "Firestore database",
    description: "Firestore database with the providers, sessions and policies.",
    default: "(default)",
    pattern: /^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$/,
    required: true,
    expected: "(default), or the id of a Firestore database",
    hidden: /@/,
  },
} as const satisfies Record<string, ParamSpec>;

/** Every param: the kit's. */
export const PARAM_SPECS = {
  ...EXTENSION_PARAM_SPECS,
  // A kit may be in the network itself.
  VPC_CONNECTOR: {
    ...EXTENSION_PARAM_SPECS.VPC_CONNECTOR,
    description:
      "Full name of the connector through which the functions reach Redis, in their location and in the network of your Redis instance. Leave empty if you set VPC_NETWORK or VPC_SUBNETWORK, or if Redis has a public endpoint with TLS.",
    required: false,
  },
  ...KIT_ONLY_PARAM_SPECS,
} as const satisfies Record<string, ParamSpec>;

export type ParamName = keyof typeof PARAM_SPECS;

/** Values as the form or a .env file gives them; an optional param left empty reads "" or is absent. */
export type ParamValues = Readonly<Partial<Record<ParamName, string>>>;
