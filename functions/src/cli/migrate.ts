import type { Command } from "commander";

import { PARAM_SPECS, type ParamValues } from "../config/param-specs";
import type { Cli, GlobalOptions } from "./cli";
import { diagnose } from "./doctor";
import { describeFindings, hasFailed, type Finding } from "./finding";
import { count } from "./options";
import { setParams } from "./params-file";
import {
  checkCleanup,
  checkDualWrite,
  checkNothingPending,
  checkRedisPrimary,
  type CheckOptions,
} from "./phase-checks";
import { PHASE_NAMES, phasesOf, type Phase, type Step } from "./phases";
import { table } from "./table";
import { UsageError } from "./usage-error";

interface Options {
  readonly compare: number;
  readonly probe?: boolean;
  readonly withoutBackfill?: boolean;
  readonly apply?: boolean;
}

/** The doctor's checks that fail where Redis cannot be used at all: the setup is not done, or undone. */
const REACH = ["params", "VPC connector", "secrets", "Redis"];

/** Where a migration is, and what its checks say. */
interface Standing {
  readonly phase: Phase;
  readonly checks: readonly Finding[];
}

/** `migrate`: the migration guide's four phases, each left only when its checks allow it. */
export function addMigrate(program: Command, cli: Cli): void {
  const command = program
    .command("migrate")
    .description("Say which of the guide's four phases this is, check whether the next may begin, and how.")
    .option(
      "--compare <n>",
      "entries to compare with Firestore; one billed read each",
      count("--compare"),
      100,
    )
    .option("--probe", "also change _quotaSync.probedAt of one provider, to see the mirror work")
    .option("--without-backfill", "let Redis decide without all documents having been read into it")
    .option("--apply", "when all checks pass, write the params of the next phase into --env-file")
    .addHelpText(
      "after",
      "\nThe phases are 1 setup, 2 dual-write, 3 Redis primary, 4 cleanup. Which one this is follows from MODE and the" +
        " stores. Run it as often as you like, in the network of the functions. It changes nothing but entries that have" +
        " missed a change, what --probe and --apply say, and entries that its checks read into Redis." +
        "\n\nExamples:\n  npx firestore-redis-quota migrate --env-file extensions/quota.env --project my-project" +
        "\n  npx firestore-redis-quota migrate --env-file extensions/quota.env --probe --apply",
    )
    .action(async (options: Options) => {
      const params = cli.params(command);
      const { envFile } = command.optsWithGlobals<GlobalOptions>();
      if (options.apply && envFile === undefined)
        throw new UsageError("--apply: expected --env-file, the file to write the params into");
      const installation = { params, project: cli.project(command, params), envFile };
      const { phase, checks } = await locate(cli, command, phasesOf(installation), params, options);
      const ready = !hasFailed(checks);
      const apply = options.apply === true && ready && phase.next !== undefined;
      if (apply) setParams(envFile!, phase.next!.params);
      cli.failed = !ready;
      const mode = modeOf(params);
      const { number, name, todo, next, back } = phase;
      const result = { phase: { number, name }, mode, ready, applied: apply, checks, todo, next, back };
      cli.print(command, result, () => describe({ phase, checks }, mode, apply ? envFile : undefined));
    });
}

function modeOf({ MODE: mode }: ParamValues): string {
  return mode || PARAM_SPECS.MODE.default;
}

async function locate(
  cli: Cli,
  command: Command,
  [setup, dualWrite, redisPrimary, cleanup]: readonly Phase[],
  params: ParamValues,
  { compare, probe = false, withoutBackfill = false }: Options,
): Promise<Standing> {
  const mode = modeOf(params);
  // Redis is to be fit for the mode that comes next; a mode that does not exist is found as it is.
  const next = { firestore: "dual-write", "dual-write": "redis-primary" }[mode] ?? mode;
  const { services, providerIds, findings } = await diagnose(cli, command, { ...params, MODE: next });
  const isReachable = !findings.some(({ check, verdict }) => verdict === "fail" && REACH.includes(check));
  const atDualWrite = mode === "dual-write" && isReachable;
  const phase = mode === "redis-primary" ? redisPrimary! : atDualWrite ? dualWrite! : setup!;
  if (services === undefined || !isReachable || hasFailed(findings)) return { phase, checks: findings };

  const bar = cli.progress("entries compared", compare);
  const options: CheckOptions = {
    params,
    compare,
    probe,
    withoutBackfill,
    onProgress: (compared) => bar.update(compared),
  };
  const current = cli.services(command);
  const checkable = { services: current, providerIds };
  try {
    if (phase === setup)
      return {
        phase,
        checks: [...findings, await checkNothingPending(current, "Run rollback to bring it over.")],
      };
    if (phase === dualWrite)
      return { phase, checks: [...findings, ...(await checkDualWrite(checkable, options))] };
    const checks = [...findings, ...(await checkRedisPrimary(checkable, options))];
    return hasFailed(checks)
      ? { phase, checks }
      : { phase: cleanup!, checks: [...checks, ...(await checkCleanup(checkable, params))] };
  } finally {
    bar.end();
  }
}

function describe({ phase, checks }: Standing, mode: string, applied: string | undefined): string {
  const { number, todo, next, back } = phase;
  const ready = !hasFailed(checks);
  const overview = PHASE_NAMES.map((name, i) => {
    const state = i + 1 < number ? "done" : i + 1 === number ? `here: MODE is ${mode}` : "";
    return [`  ${i + 1}`, name, state];
  });
  const shown = number === 1 && ready ? [] : ["", "In this phase:", ...todo.map((each) => `  ${each}`)];
  return [
    table(overview),
    ...shown,
    "",
    "Checks:",
    describeFindings(checks),
    "",
    ...conclusion(phase, ready, next, applied),
    ...(back === undefined ? [] : ["", "The way back:", ...describeStep(back)]),
  ].join("\n");
}

function conclusion(
  { number }: Phase,
  ready: boolean,
  next: Step | undefined,
  applied: string | undefined,
): string[] {
  if (!ready)
    return [`Not yet: correct what has failed, and run this again. Until then stay in phase ${number}.`];
  if (next === undefined)
    return ["Redis decides, and Firestore follows: what is left are the warnings above."];
  const to = `To go on to phase ${number + 1}, ${PHASE_NAMES[number]}`;
  if (applied === undefined) return [`${to}:`, ...describeStep(next)];
  return [`${to}: ${applied} has the params; run`, ...next.then.map((each) => `  ${each}`)];
}

function describeStep({ first, params, then }: Step): string[] {
  const settings = Object.entries(params).map(([name, value]) => `set ${name}=${value}`);
  return [...first, ...settings, ...then].map((each) => `  ${each}`);
}
