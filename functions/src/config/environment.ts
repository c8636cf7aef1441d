import { PARAM_SPECS, type ParamName, type ParamValues } from "./param-specs";

// eslint-disable-next-line no-restricted-properties -- this is the file that may
const { env } = process;

/** The params' values as the environment has them now; a param that was left empty reads "", or is absent. */
export function readEnvironment(): ParamValues {
  const names = Object.keys(PARAM_SPECS) as ParamName[];
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

/** Variables of an app's environment that the SDK may read. */
const APP_VARIABLE = /^(REDIS_QUOTA_[A-Z_]+|REDIS_HOST|REDIS_PORT)$/;

/** The SDK's settings as an app's environment has them now, by the names of its variables. */
export function readAppEnvironment(): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => APP_VARIABLE.test(name)));
}

/** The id of this installation where it is one of the extension. */
export function extensionInstanceId(): string | undefined {
  return env["EXT_INSTANCE_ID"];
}

/** The project that this process runs in, if the environment names it. */
export function environmentProject(): string | undefined {
  return env["GCLOUD_PROJECT"] || env["GOOGLE_CLOUD_PROJECT"] || undefined;
}

/** The export that this process runs, as Cloud Functions and its emulator name it; none where the CLI lists the functions. */
export function functionTarget(): string | undefined {
  return env["FUNCTION_TARGET"] || undefined;
}

/**
 * Where secrets are read instead of Google's Secret Manager: `host:port` of a server that speaks its gRPC protocol, for
 * tests. Google's client library knows no such setting; the name is like that of the emulators' settings.
 */
export function secretManagerEmulatorHost(): string | undefined {
  return env["SECRET_MANAGER_EMULATOR_HOST"] || undefined;
}
