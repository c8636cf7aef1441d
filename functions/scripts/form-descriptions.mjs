/** Copies the descriptions of extension.yaml's params into src/config/form-descriptions.generated.ts, for the kit's prompts. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { parse } from "yaml";

const functions = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

const { params } = parse(readFileSync(path.join(functions, "../extension.yaml"), "utf8"));
const descriptions = Object.fromEntries(params.map(({ param, description }) => [param, description.trim()]));
writeFileSync(
  path.join(functions, "src/config/form-descriptions.generated.ts"),
  [
    "// Made by scripts/form-descriptions.mjs from extension.yaml; change that.",
    `export const formDescriptions = ${JSON.stringify(descriptions, null, 2)} as const;\n`,
  ].join("\n\n"),
);
