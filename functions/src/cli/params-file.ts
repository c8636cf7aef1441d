import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { PARAM_SPECS, type ParamName, type ParamValues } from "../config/param-specs";
import { formatValue, validationMessage } from "../validation";
import { assignInEnvFile, findSimilarName, isDeployableName, parseEnvFile } from "./env-file";
import { readTextFile } from "./text-file";
import { UsageError } from "./usage-error";

const PARAM_NAMES = Object.keys(PARAM_SPECS) as ParamName[];

/** The params of a .env file, and what is probably a mistake in it. */
export interface ParamsFile {
  readonly params: ParamValues;
  readonly warnings: readonly string[];
}

/**
 * Reads params as `firebase deploy` does. Other names are ignored.
 *
 * @throws UsageError if the file cannot be read, or `firebase deploy` would refuse it
 */
export function readParamsFile(file: string): ParamsFile {
  const { values, invalidLines } = parseEnvFile(readTextFile(file, "--env-file"));
  if (invalidLines.length > 0) {
    const lines = `${invalidLines.length === 1 ? "line" : "lines"} ${invalidLines.slice(0, 5).join(", ")}`;
    throw invalid("lines of NAME=value and comments", `something else in ${formatValue(file)}, ${lines}`);
  }
  const warnings = Array.from(values.keys()).flatMap((name) => warnOfName(name, file));
  const params = PARAM_NAMES.flatMap((name) => (values.has(name) ? [[name, values.get(name)]] : []));
  return { params: Object.fromEntries(params) as ParamValues, warnings };
}

/**
 * Sets params in a .env file, and leaves every other line as it is.
 *
 * @throws UsageError if the file cannot be read or written
 */
export function setParams(file: string, values: Readonly<Partial<Record<ParamName, string>>>): void {
  const text = assignInEnvFile(readTextFile(file, "--env-file"), values);
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw invalid("a file that can be written", `${formatValue(file)} (${(error as Error).message})`);
  }
}

const invalid = (expected: string, got: string) =>
  new UsageError(validationMessage("--env-file", expected, got));

const isOfFunctions = (file: string) => /^\.env(\.|$)/.test(path.basename(file));

function warnOfName(name: string, file: string): string[] {
  if ((PARAM_NAMES as readonly string[]).includes(name)) return [];
  const meant = findSimilarName(name, PARAM_NAMES);
  if (meant !== undefined) return [`${name} is not a param and was ignored. Did you mean ${meant}?`];
  if (!isOfFunctions(file) || isDeployableName(name)) return [];
  return [`\`firebase deploy\` refuses the name ${name} in ${path.basename(file)}.`];
}

/** Warns if `firebase deploy` does not read this file for a project, or reads another one together with it. */
export function warnOfOtherFiles(file: string, project: string | undefined): string[] {
  if (!isOfFunctions(file)) return [];
  const name = path.basename(file);
  const suffix = name.slice(".env.".length);
  if (suffix === "local") return ["`firebase deploy` does not read .env.local; only the emulators do."];
  const warnings: string[] = [];
  if (suffix !== "" && project !== undefined && suffix !== project && !isAlias(suffix, project, file))
    warnings.push(`\`firebase deploy --project ${project}\` reads .env and .env.${project}, not ${name}.`);
  const others = [".env", ...(project === undefined ? [] : [`.env.${project}`])].filter(
    (other) => other !== name && existsSync(path.join(path.dirname(file), other)),
  );
  if (others.length > 0)
    warnings.push(`\`firebase deploy\` also reads ${others.join(" and ")}; this command read only ${name}.`);
  return warnings;
}

/** Whether the nearest .firebaserc gives a project this alias. */
function isAlias(alias: string, project: string, file: string): boolean {
  for (let folder = path.dirname(path.resolve(file)); ; folder = path.dirname(folder)) {
    const settings = path.join(folder, ".firebaserc");
    if (existsSync(settings)) return projectsIn(settings)[alias] === project;
    if (folder === path.dirname(folder)) return false;
  }
}

function projectsIn(settings: string): Readonly<Record<string, unknown>> {
  try {
    const { projects } = JSON.parse(readFileSync(settings, "utf8")) as { projects?: Record<string, unknown> };
    return projects ?? {};
  } catch {
    return {}; // The Firebase CLI reports it.
  }
}
