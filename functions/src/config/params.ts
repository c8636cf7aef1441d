import { defineString, type StringParam } from "firebase-functions/params";

import { PARAM_SPECS, type ParamName, type ParamSpec, type ParamValues } from "./param-specs";

function declare(name: ParamName): StringParam {
  const spec: ParamSpec = PARAM_SPECS[name];
  // Without a default the CLI asks for a value, and does not deploy where it cannot ask.
  const value = spec.default ?? (spec.required ? undefined : "");
  return defineString(name, value === undefined ? {} : { default: value });
}

const PARAM_NAMES = Object.keys(PARAM_SPECS) as ParamName[];

/** The declared params; the only place of this package that reads the environment. */
export const params = Object.fromEntries(PARAM_NAMES.map((name) => [name, declare(name)])) as Readonly<
  Record<ParamName, StringParam>
>;

/** The id of this installation where it is one of the extension. */
export function extensionInstanceId(): string | undefined {
  // eslint-disable-next-line no-restricted-properties -- this is the file that may
  return process.env["EXT_INSTANCE_ID"];
}

/** The params' values now. Functions only: at load time, while the CLI lists the functions, there are none. */
export function readParams(): ParamValues {
  return Object.fromEntries(PARAM_NAMES.map((name) => [name, params[name].value()]));
}
