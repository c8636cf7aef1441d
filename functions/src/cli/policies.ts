import { readFileSync } from "node:fs";

import type { Command } from "commander";

import { InvalidPolicies, parsePolicies, type Policy } from "../rate-limit/policy";
import { UsageError, type Cli } from "./cli";
import { count } from "./options";
import { table } from "./table";

/** `policies`: validate, explain and try rate limit policies. */
export function addPolicies(program: Command, cli: Cli): void {
  const policies = program
    .command("policies")
    .description("Validate, explain and try rate limit policies.")
    .addHelpText(
      "after",
      "\nExamples:\n  npx firestore-redis-quota policies validate policies.json" +
        "\n  npx firestore-redis-quota policies explain --env-file extensions/quota.env" +
        "\n  npx firestore-redis-quota policies try ai-chat some-uid --cost 2",
    );
  const read = (command: Command, file: string | undefined): Policy[] =>
    parsePolicies(
      file === undefined ? (cli.params(command).RATE_LIMIT_POLICIES ?? "[]") : readPolicies(file),
    );

  const validate = policies
    .command("validate")
    .argument("[file]", "JSON array of policies; RATE_LIMIT_POLICIES if absent")
    .description("Say what is wrong with policies.")
    .action((file?: string) => {
      let problems: readonly string[] = [];
      let valid = 0;
      try {
        valid = read(validate, file).length;
      } catch (error) {
        if (!(error instanceof InvalidPolicies)) throw error;
        problems = error.problems;
      }
      cli.failed = problems.length > 0;
      cli.print(validate, { valid, problems }, () =>
        problems.length > 0 ? problems.join("\n") : `${valid} valid policies.`,
      );
    });

  const explain = policies
    .command("explain")
    .argument("[file]", "JSON array of policies; RATE_LIMIT_POLICIES if absent")
    .description("Say in words what policies allow.")
    .action((file?: string) => {
      const explained = read(explain, file).map((policy) => ({
        name: policy.name,
        explanation: explainPolicy(policy),
      }));
      cli.print(explain, explained, () =>
        table(explained.map(({ name, explanation }) => [name, explanation])),
      );
    });

  const attempt = policies
    .command("try")
    .argument("<policy>", "name of the policy")
    .argument("<subject>", "who asks")
    .option("--cost <n>", "what the request counts for", count("--cost"), 1)
    .option("--count", "count it; otherwise it is only looked at")
    .description("Decide one request, without counting it unless told to.")
    .action(
      async (
        policy: string,
        subject: string,
        options: { readonly cost: number; readonly count?: boolean },
      ) => {
        const { rateLimiter } = cli.services(attempt);
        const decision = await rateLimiter.check(policy, subject, {
          cost: options.cost,
          peek: !options.count,
        });
        cli.failed = !decision.allowed;
        cli.print(attempt, decision, () =>
          table(Object.entries(decision).map(([name, value]) => [name, String(value)])),
        );
      },
    );
}

function explainPolicy({ by, limits: { limits, onRedisFailure }, overrides }: Policy): string {
  const who = by === "global" ? "all callers together" : `each ${by}`;
  const rules = limits.map(({ algorithm, limit, windowMs, capacity }) =>
    algorithm === "token-bucket"
      ? `${limit} per ${windowMs / 1000} s, at most ${capacity} at once`
      : `${limit} per ${windowMs / 1000} s (${algorithm})`,
  );
  const own = overrides.size === 0 ? "" : `; ${overrides.size} subjects have limits of their own`;
  return `${who}: ${rules.join(" and ")}${own}; without Redis: ${onRedisFailure}`;
}

function readPolicies(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
