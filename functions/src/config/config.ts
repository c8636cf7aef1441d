import { parseNetworks, type Network } from "../rate-limit/ip-address";
import { checkPolicies, InvalidPolicies, parsePolicies, type Policy } from "../rate-limit/policy";
import type { Secret } from "../secret";
import { formatRedacted, formatValue, validationMessage } from "../validation";
import { PARAM_SPECS, type ParamName, type ParamSpec, type ParamValues } from "./param-specs";

/** What the services need to know, checked and typed. */
export interface ServiceConfig {
  /** Id of the Firestore database. */
  readonly database: string;
  readonly redis: {
    readonly host: string | Secret;
    readonly port: number | Secret;
    readonly topology: "standalone" | "cluster";
    /** The password, for AUTH. */
    readonly password: Secret | undefined;
    readonly tls: boolean;
    /** PEM certificates of the authorities behind the server's own. */
    readonly ca: Secret | undefined;
    /** Limit of one Redis operation, connecting and retries included. */
    readonly timeoutMs: number;
    readonly keyPrefix: string;
  };
  readonly quota: {
    readonly collectionPath: string;
    readonly usedField: string;
    readonly limitField: string;
    readonly defaultLimit: number;
    readonly ttlSeconds: number;
    readonly missingProvider: "default-limit" | "deny";
    readonly onChange: "update" | "invalidate";
    readonly mode: "firestore" | "dual-write" | "redis-primary";
  };
  readonly session: {
    readonly collectionPath: string;
    readonly ttlSeconds: number;
    readonly mode: "firestore" | "dual-write" | "redis-primary";
  };
  readonly rateLimit: {
    /** The policies of RATE_LIMIT_POLICIES, or what is wrong with them: that stops rate limits and nothing else. */
    readonly policies: readonly Policy[] | ConfigError;
    /** Collection of further policies, one for each document. */
    readonly policyCollection: string | undefined;
    /** Networks whose entries in X-Forwarded-For are proxies rather than clients. */
    readonly trustedProxies: readonly Network[];
  };
}

/** What the deployed functions need to know besides. */
export interface Config extends ServiceConfig {
  /** Region of the functions. */
  readonly location: string;
  readonly backfillOnInstall: boolean;
  readonly enforceAppCheck: boolean;
  /** Who, in addition to administrators, may check a provider's quota. */
  readonly checkAccess: "owner" | "signed-in";
  /** Custom claim that, when true, makes a caller an administrator. */
  readonly adminClaim: string;
}

/** One invalid param, and the validation message that names it. */
export interface ConfigProblem {
  /** The param, by the name that the user wrote. */
  readonly param: string;
  readonly problem: string;
}

/** The params contain errors; `problems` and the message list all of them. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "invalid-config";

  constructor(readonly problems: readonly ConfigProblem[]) {
    super(
      `${problems.length} invalid ${problems.length === 1 ? "param" : "params"}:\n` +
        problems.map(({ problem }) => `  ${problem}`).join("\n"),
    );
  }
}

/** Values of params, and how their source names and types them. */
export interface ParamSource {
  readonly values: ParamValues;
  /** Names in messages; a param that is not here has its own. */
  readonly names?: Readonly<Partial<Record<ParamName, string>>>;
  /** Values that are not of their param's type. */
  readonly mistyped?: ReadonlyMap<ParamName, unknown>;
  /** The policies as values, instead of RATE_LIMIT_POLICIES. */
  readonly policies?: unknown;
}

/**
 * Parses the values of all params. Errors in RATE_LIMIT_POLICIES alone are returned in `rateLimit.policies`.
 *
 * @throws ConfigError naming every bad param, what it got and what is valid.
 */
export function parseConfig(values: ParamValues): Config {
  return parse({ values }, (param) => ({ ...readServices(param), ...readDeployment(param) }));
}

/**
 * Parses the values of the params that the services need; others are not looked at. Errors in RATE_LIMIT_POLICIES alone
 * are returned in `rateLimit.policies`.
 *
 * @throws ConfigError naming every bad param, what it got and what is valid.
 */
export function parseServiceConfig(values: ParamValues): ServiceConfig {
  return readServiceConfig({ values });
}

/**
 * {@link parseServiceConfig} for other sources than params.
 *
 * @throws ConfigError
 */
export function readServiceConfig(source: ParamSource): ServiceConfig {
  return parse(source, readServices);
}

/** Where documents of rate limit policies are. */
export interface PolicyLocation {
  readonly database: string;
  /** Undefined if only RATE_LIMIT_POLICIES has policies. */
  readonly policyCollection: string | undefined;
}

/**
 * Parses where rate limit policies are, beside RATE_LIMIT_POLICIES; other params are not looked at.
 *
 * @throws ConfigError
 */
export function parsePolicyLocation(values: ParamValues): PolicyLocation {
  return parse({ values }, readPolicyLocation);
}

/** How the value of a param is read; what is wrong with it is reported, not thrown. */
interface ParamReader {
  /** What messages call a param. */
  nameOf(param: ParamName): string;
  readonly policies: unknown;
  text(param: ParamName): string;
  integer(param: ParamName): number;
  /** The secret that a param names, if it names one. */
  secret(param: ParamName): Secret | undefined;
  report(param: ParamName, expected: string, got: string): void;
  reportAll(param: ParamName, problems: readonly string[]): void;
}

/**
 * The param whose errors stop only what uses it. The others hold one value each, which the installation form checks; this
 * one is a document, which operators edit often and the form cannot check.
 */
const LIMITS_ONLY: ParamName = "RATE_LIMIT_POLICIES";

/** What a validation message shows of a param that has no value. */
const NO_VALUE = "no value";

const SECRET_NAME = /^projects\/[^/]+\/secrets\//;

function parse<T>({ values, names, mistyped, policies }: ParamSource, read: (param: ParamReader) => T): T {
  const nameOf = (param: ParamName) => names?.[param] ?? param;
  const problems: ConfigProblem[] = [];
  const reportAll = (param: ParamName, messages: readonly string[]) => {
    // A param that two settings are read from is reported once.
    const known = problems.map(({ problem }) => problem);
    for (const problem of messages)
      if (!known.includes(problem)) problems.push({ param: nameOf(param), problem });
  };
  const report = (param: ParamName, expected: string, got: string) =>
    reportAll(param, [validationMessage(nameOf(param), expected, got)]);

  const text = (param: ParamName): string => {
    const spec: ParamSpec = PARAM_SPECS[param];
    if (mistyped?.has(param)) {
      report(param, expectedOf(spec), (spec.hidden ? formatRedacted : formatValue)(mistyped.get(param)));
      return "";
    }
    const value = values[param] || spec.default;
    if (value === undefined) {
      if (spec.required) report(param, spec.expected, NO_VALUE);
      return "";
    }
    if (spec.pattern?.test(value) === false || spec.options?.includes(value) === false) {
      const got = spec.hidden?.test(value) ? "a value that is not shown" : formatValue(value);
      report(param, expectedOf(spec), got);
    }
    return value;
  };

  // The pattern of each has the range.
  const integer = (param: ParamName) => Number(text(param));

  const secret = (param: ParamName): Secret | undefined => {
    if (!SECRET_NAME.test(values[param] ?? "")) return undefined;
    const value = text(param);
    return {
      param: nameOf(param),
      version: value.includes("/versions/") ? value : `${value}/versions/latest`,
    };
  };

  const result = read({ nameOf, policies, text, integer, secret, report, reportAll });
  if (problems.some(({ param }) => param !== nameOf(LIMITS_ONLY))) throw new ConfigError(problems);
  return result;
}

function expectedOf({ expected, required }: ParamSpec): string {
  return required ? expected : `${expected}, or empty`;
}

function readPolicyLocation({ text }: Pick<ParamReader, "text">): PolicyLocation {
  return {
    database: text("DATABASE"),
    policyCollection: text("RATE_LIMIT_POLICY_COLLECTION") || undefined,
  };
}

function readServices(param: ParamReader): ServiceConfig {
  const { text, integer, report, nameOf } = param;
  const { database, policyCollection } = readPolicyLocation(param);
  const usedField = text("QUOTA_USED_FIELD");
  const limitField = text("QUOTA_LIMIT_FIELD");
  if (
    usedField === limitField ||
    usedField.startsWith(`${limitField}.`) ||
    limitField.startsWith(`${usedField}.`)
  ) {
    const expected = `a field apart from ${nameOf("QUOTA_USED_FIELD")}, ${formatValue(usedField)}`;
    report("QUOTA_LIMIT_FIELD", expected, formatValue(limitField));
  }
  const sessionCollectionPath = text("SESSION_COLLECTION_PATH");
  if (sessionCollectionPath === text("QUOTA_COLLECTION_PATH")) {
    const expected = `a collection apart from ${nameOf("QUOTA_COLLECTION_PATH")}`;
    report("SESSION_COLLECTION_PATH", expected, formatValue(sessionCollectionPath));
  }

  return {
    database,
    redis: {
      ...readServer(param),
      timeoutMs: integer("REDIS_TIMEOUT_MS"),
      keyPrefix: text("KEY_PREFIX"),
    },
    quota: {
      collectionPath: text("QUOTA_COLLECTION_PATH"),
      usedField,
      limitField,
      defaultLimit: integer("QUOTA_DEFAULT_LIMIT"),
      ttlSeconds: integer("QUOTA_TTL_SECONDS"),
      missingProvider: text("MISSING_PROVIDER") as Config["quota"]["missingProvider"],
      onChange: text("ON_CHANGE") as Config["quota"]["onChange"],
      mode: text("MODE") as Config["quota"]["mode"],
    },
    session: {
      collectionPath: sessionCollectionPath,
      ttlSeconds: integer("SESSION_TTL_SECONDS"),
      mode: text("MODE") as Config["session"]["mode"],
    },
    rateLimit: {
      policies: readPolicies(param),
      policyCollection,
      trustedProxies: readTrustedProxies(param),
    },
  };
}

function readServer({ text, integer, secret, report, nameOf }: ParamReader) {
  const optional = (param: ParamName) => {
    const named = secret(param);
    if (named === undefined) text(param); // reports what is neither a name nor nothing
    return named;
  };
  const server = {
    host: secret("REDIS_HOST") ?? text("REDIS_HOST"),
    port: secret("REDIS_PORT") ?? integer("REDIS_PORT"),
    topology: text("REDIS_TOPOLOGY") as Config["redis"]["topology"],
    password: optional("REDIS_AUTH_SECRET"),
    tls: text("REDIS_TLS") === "true",
    ca: optional("REDIS_CA_SECRET"),
  };
  if (server.ca && !server.tls)
    report("REDIS_CA_SECRET", `empty while ${nameOf("REDIS_TLS")} is false`, "a secret");
  return server;
}

function readTrustedProxies({ text, report }: Pick<ParamReader, "text" | "report">): readonly Network[] {
  const { networks, invalid } = parseNetworks(text("TRUSTED_PROXIES"));
  for (const part of invalid)
    report("TRUSTED_PROXIES", PARAM_SPECS.TRUSTED_PROXIES.expected, formatValue(part));
  return networks;
}

function readPolicies({ text, reportAll, nameOf, policies }: ParamReader): readonly Policy[] | ConfigError {
  const name = nameOf(LIMITS_ONLY);
  try {
    return policies === undefined ? parsePolicies(text(LIMITS_ONLY), name) : checkPolicies(policies, name);
  } catch (error) {
    if (!(error instanceof InvalidPolicies)) throw error;
    reportAll(LIMITS_ONLY, error.problems);
    return new ConfigError(error.problems.map((problem) => ({ param: name, problem })));
  }
}

/**
 * Claims of ID tokens that are not custom claims: the names that Firebase reserves, and those of what it knows of a user.
 * `email_verified` is true for most users. A regular expression without lookahead cannot exclude them in the form.
 */
const RESERVED_CLAIMS = "acr amr at_hash aud auth_time azp c_hash cnf exp firebase iat iss jti nbf nonce sub";
const USER_CLAIMS =
  "email email_verified name phone_number phone_number_verified picture provider_id uid user_id";
/** The names that ADMIN_CLAIM may not have. */
export const FIREBASE_CLAIMS: readonly string[] = `${RESERVED_CLAIMS} ${USER_CLAIMS}`.split(" ");

function readDeployment({ text, report }: ParamReader): Omit<Config, keyof ServiceConfig> {
  const location = text("LOCATION");
  const isInNetwork = [text("VPC_NETWORK"), text("VPC_SUBNETWORK")].some((name) => name !== "");
  const connector = text("VPC_CONNECTOR");
  const connectorLocation = connector.split("/")[3];
  if (PARAM_SPECS.VPC_CONNECTOR.pattern.test(connector) && connectorLocation !== location && !isInNetwork) {
    const expected = `a connector in LOCATION, ${formatValue(location)}`;
    report("VPC_CONNECTOR", expected, `one in ${formatValue(connectorLocation)}`);
  }
  const adminClaim = text("ADMIN_CLAIM");
  if (FIREBASE_CLAIMS.includes(adminClaim))
    report("ADMIN_CLAIM", PARAM_SPECS.ADMIN_CLAIM.expected, formatValue(adminClaim));
  text("VPC_CONNECTOR_EGRESS_SETTINGS");
  text("SYNC_SCHEDULE");
  return {
    location,
    backfillOnInstall: text("BACKFILL_ON_INSTALL") === "true",
    enforceAppCheck: text("ENFORCE_APP_CHECK") === "true",
    checkAccess: text("CHECK_ACCESS") as Config["checkAccess"],
    adminClaim,
  };
}
