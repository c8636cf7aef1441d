import { defineString, type StringParam } from "firebase-functions/params";

import { PARAM_SPECS, type ParamName, type ParamSpec } from "./param-specs";

function declare(name: ParamName): StringParam {
  const spec: ParamSpec = PARAM_SPECS[name];
  return defineString(name, spec.default === undefined ? {} : { default: spec.default });
}

const PARAM_NAMES = Object.keys(PARAM_SPECS) as ParamName[];

/** The declared params, for the declarations of functions: while the CLI lists these, params have no values yet. */
export const params = Object.fromEntries(PARAM_NAMES.map((name) => [name, declare(name)])) as Readonly<
  Record<ParamName, StringParam>
>;
