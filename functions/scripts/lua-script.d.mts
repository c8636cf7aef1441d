import type { ScriptDefinition } from "../src/redis/script.ts";

export function parseScript(
  name: string,
  source: string,
  include?: (name: string) => string,
): ScriptDefinition;
