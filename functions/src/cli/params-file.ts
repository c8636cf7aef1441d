import { readFileSync, writeFileSync } from "node:fs";

import type { ParamName } from "../config/param-specs";
import { UsageError } from "./cli";

/**
 * Sets params in a .env file, and leaves every other line as it is.
 *
 * @throws UsageError where the file cannot be read or written
 */
export function setParams(file: string, values: Readonly<Partial<Record<ParamName, string>>>): void {
  try {
    let text = readFileSync(file, "utf8");
    for (const [name, value] of Object.entries(values)) {
      const line = new RegExp(`^(\\s*(?:export\\s+)?)${name}\\s*=.*$`, "m");
      text = line.test(text)
        ? text.replace(line, (_line, start: string) => `${start}${name}=${value}`)
        : `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${name}=${value}\n`;
    }
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`--env-file: ${(error as Error).message}`);
  }
}
