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
 * @throws RedisUnavailableError as {@link RedisServers.runFor}.
 */
export function runScript<D extends ScriptDefinition>(
  servers: RedisServers,
  script: D,
  input: ScriptInput<D>,
): Promise<unknown> {
  return run(servers, script, input, {
    evalsha: (redis, ...call) => redis.evalsha(...call),
    eval: (redis, ...call) => redis.eval(...call),
  });
}

/** {@link runScript} for a script that returns one string of packed numbers: cheaper to decode than an array of them. */
export function runScriptForBuffer<D extends ScriptDefinition>(
  servers: RedisServers,
  script: D,
  input: ScriptInput<D>,
): Promise<Buffer> {
  return run(servers, script, input, {
    evalsha: (redis, ...call) => (redis as BinaryRedis).evalshaBuffer(...call),
    eval: (redis, ...call) => (redis as BinaryRedis).evalBuffer(...call),
  });
}

type EvalCall = [script: string, keys: number, ...rest: (string | number)[]];

/** ioredis has these, and leaves them out of its types. */
type BinaryRedis = Redis & Record<"evalshaBuffer" | "evalBuffer", (...call: EvalCall) => Promise<Buffer>>;

async function run<D extends ScriptDefinition, T>(
  servers: RedisServers,
  script: D,
  input: ScriptInput<D>,
  commands: Readonly<Record<"evalsha" | "eval", (redis: Redis, ...call: EvalCall) => Promise<T>>>,
): Promise<T> {
  const startedMs = performance.now();
  const { keys, args } = order(script, input);
  try {
    return await servers.runFor(keys[0]!, (redis) =>
      commands.evalsha(redis, script.sha1, keys.length, ...keys, ...args),
    );
  } catch (error) {
    if (!(error instanceof RedisUnavailableError && error.cause.message.startsWith("NOSCRIPT"))) throw error;
    return servers.runFor(
      keys[0]!,
      (redis) => commands.eval(redis, script.source, keys.length, ...keys, ...args),
      startedMs,
    );
  }
}

function order<D extends ScriptDefinition>(script: D, input: ScriptInput<D>) {
  const named = input as Readonly<Record<string, string | number>>;
  const rest = input as Readonly<Record<string, readonly (string | number)[]>>;
  const keys: string[] = [
    ...script.keys.map((name) => named[name] as string),
    ...(script.restKeys ? (rest[script.restKeys] as readonly string[]) : []),
  ];
  const args = [
    ...script.args.map((name) => named[name]!),
    ...(script.restArgs ? rest[script.restArgs]! : []),
  ];
  return { keys, args };
}
