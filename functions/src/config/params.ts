import { defineString, select, type StringParam, type TextInput } from "firebase-functions/params";
import type { GlobalOptions } from "firebase-functions/v2/options";

import { readEnvironment } from "./environment";
import { formDescriptions } from "./form-descriptions.generated";
import { PARAM_SPECS, type ParamName, type ParamSpec } from "./param-specs";

function declare(name: ParamName): StringParam {
  const spec: ParamSpec = PARAM_SPECS[name];
  // Without a default the CLI asks for a value, and does not deploy where it cannot ask.
  const value = spec.default ?? (spec.required ? undefined : "");
  return defineString(name, {
    label: spec.label,
    description: spec.description ?? formDescriptions[name as keyof typeof formDescriptions],
    ...(value !== undefined && { default: value }),
    input: spec.options ? select([...spec.options]) : { text: textInput(spec) },
  });
}

/** What the CLI asks of a kit's values when it prompts for them; of an extension's, extension.yaml does. */
function textInput(spec: ParamSpec): TextInput<string>["text"] {
  const { pattern, required } = spec;
  if (!pattern) return { nonEmpty: required };
  // The CLI holds the pattern against what was left empty too, and would ask for ever.
  const validationRegex = required ? pattern.source : `^$|${pattern.source}`;
  return { nonEmpty: required, validationRegex, validationErrorMessage: invitation(spec) };
}

function invitation({ expected, required }: ParamSpec): string {
  return `Enter ${expected}${required ? "" : ", or nothing"}.`;
}

const PARAM_NAMES = Object.keys(PARAM_SPECS) as ParamName[];

/** The declared params, for the declarations of functions: while the CLI lists these, params have no values yet. */
export const params = Object.fromEntries(PARAM_NAMES.map((name) => [name, declare(name)])) as Readonly<
  Record<ParamName, StringParam>
>;

/**
 * How the functions of a kit reach Redis: from within the network where one is named, else through the connector. The
 * CLI takes no param for the egress, and deploys a network without a name; it has the values in the environment when it
 * lists the functions of an instance that is configured.
 */
export function vpcAtLoad(): Pick<
  GlobalOptions,
  "vpcConnector" | "vpcConnectorEgressSettings" | "networkInterface"
> {
  const {
    VPC_CONNECTOR_EGRESS_SETTINGS: egress,
    VPC_NETWORK: network,
    VPC_SUBNETWORK: subnetwork,
  } = readEnvironment();
  const networkInterface = { ...(network && { network }), ...(subnetwork && { subnetwork }) };
  return {
    vpcConnectorEgressSettings: egress === "ALL_TRAFFIC" ? "ALL_TRAFFIC" : "PRIVATE_RANGES_ONLY",
    ...(network || subnetwork ? { networkInterface } : { vpcConnector: params.VPC_CONNECTOR }),
  };
}
