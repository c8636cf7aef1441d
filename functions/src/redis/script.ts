import type { Redis } from "ioredis";

import { RedisUnavailableError } from "./connection";
import type { RedisServers } from "./redis-servers";

/** A script as the build inlines it: text, SHA-1 and the names that its header gives to KEYS and ARGV. */
export interface ScriptDefinition {
  readonly name: string;
  readonly source: string;
  readonly sha1: string;
  readonly keys: readonly string[];
  readonly restKeys: string | null;
  readonly args: readonly string[];
  readonly restArgs: string | null;
}

type Rest<Name extends string | null, Value> = Name extends string
  ? Readonly<Record<Name, readonly Value[]>>
  : unknown;

/** The named KEYS and ARGV of a script; those of a `[*]` line are an array. */
export type ScriptInput<D extends ScriptDefinition> = Readonly<Record<D["keys"][number], string>> &
  Rest<D["restKeys"], string> &
  Readonly<Record<D["args"][number], string | number>> &
  Rest<D["restArgs"], string | number>;

/**
 * Runs a Lua script by its SHA-1; a server that does not know it (a new one, or after SCRIPT FLUSH) is sent the text.
 *
 * @param decode checks the reply, as no type does, and throws UnexpectedReplyError
 * @throws RedisUnavailableError as {@link RedisServers.runFor}, and for a reply that is not as expected
 */
export function runScript<D extends ScriptDefinition, T>(
  servers: RedisServers,
  script: D,
  input: ScriptInput<D>,
  decode: (reply: unknown) => T,
): Promise<T> {
  return run(servers, script, input, decode, "evalsha", "eval");
}

/** {@link runScript} for a script that returns one string of packed numbers: cheaper to decode than an array of them. */
export function runScriptForBuffer<D extends ScriptDefinition, T>(
  servers: RedisServers,
  script: D,
  input: ScriptInput<D>,
  decode: (reply: unknown) => T,
): Promise<T> {
  return run(servers, script, input, decode, "evalshaBuffer", "evalBuffer");
}

type Eval = (script: string, keysAndArgs: readonly (string | number)[]) => Promise<unknown>;
type Evals = Readonly<Record<"evalsha" | "eval" | "evalshaBuffer" | "evalBuffer", Eval>>;

async function run<D extends ScriptDefinition, T>(
  servers: RedisServers,
  script: D,
  input: ScriptInput<D>,
  decode: (reply: unknown) => T,
  bySha1: keyof Evals,
  byText: keyof Evals,
): Promise<T> {
  const startedMs = performance.now();
  const call = keysAndArgs(script, input);
  const [, key] = call as [keys: number, key: string];
  // ioredis takes arrays in place of arguments, and has commands that return buffers; its types have neither.
  const evals = (redis: Redis) => redis as unknown as Evals;
  try {
    return await servers.runFor(key, (redis) => evals(redis)[bySha1](script.sha1, call).then(decode));
  } catch (error) {
    if (!(error instanceof RedisUnavailableError && error.cause.message.startsWith("NOSCRIPT"))) throw error;
    return servers.runFor(key, (redis) => evals(redis)[byText](script.source, call).then(decode), startedMs);
  }
}

/** The number of keys, the keys and the arguments, in the script's order. */
function keysAndArgs<D extends ScriptDefinition>(script: D, input: ScriptInput<D>): (string | number)[] {
  const named = input as Readonly<Record<string, string | number>>;
  const rest = input as Readonly<Record<string, readonly (string | number)[]>>;
  const restKeys = script.restKeys === null ? [] : rest[script.restKeys]!;
  const call: (string | number)[] = [script.keys.length + restKeys.length];
  for (const name of script.keys) call.push(named[name]!);
  for (const key of restKeys) call.push(key);
  for (const name of script.args) call.push(named[name]!);
  if (script.restArgs !== null) for (const arg of rest[script.restArgs]!) call.push(arg);
  return call;
}
