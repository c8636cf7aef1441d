import { defineString, select, type StringParam, type TextInput } from "firebase-functions/params";
import type { VpcEgressSetting } from "firebase-functions/v2/options";

import { PARAM_SPECS, type ParamName, type ParamSpec, type ParamValues } from "./param-specs";

function declare(name: ParamName): StringParam {
  const spec: ParamSpec = PARAM_SPECS[name];
  return defineString(name, {
    ...(spec.default !== undefined && { default: spec.default }),
    input: spec.options ? select([...spec.options]) : { text: textInput(spec) },
  });
}

/** What the CLI asks of a kit's values when it prompts for them; of an extension's, extension.yaml does. */
function textInput({ pattern, required, expected }: ParamSpec): TextInput<string>["text"] {
  return {
    nonEmpty: required,
    ...(pattern && { validationRegex: pattern.source, validationErrorMessage: `Enter ${expected}.` }),
  };
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

/**
 * Which traffic of a kit goes through its VPC connector. The CLI takes no param there; it has the value in the
 * environment when it lists the functions of an instance that is configured.
 */
export function egressAtLoad(): VpcEgressSetting {
  // eslint-disable-next-line no-restricted-properties -- this is the file that may
  return process.env["VPC_CONNECTOR_EGRESS_SETTINGS"] === "ALL_TRAFFIC"
    ? "ALL_TRAFFIC"
    : "PRIVATE_RANGES_ONLY";
}

/** The params' values now. Functions only: at load time, while the CLI lists the functions, there are none. */
export function readParams(): ParamValues {
  return Object.fromEntries(PARAM_NAMES.map((name) => [name, params[name].value()]));
}
