import type { Command } from "commander";

import { parsePolicyLocation } from "../config/config";
import { InvalidPolicies, parsePolicies, type Policy } from "../rate-limit/policy";
import { readPolicyDocuments } from "../rate-limit/policy-documents";
import type { Cli } from "./cli";
import { count } from "./options";
import { table } from "./table";
import { readTextFile } from "./text-file";

const SOURCE =
  "JSON array of policies; if absent RATE_LIMIT_POLICIES and the documents of RATE_LIMIT_POLICY_COLLECTION";

/** A valid policy, with where it is from: a file, RATE_LIMIT_POLICIES or the path of its document. */
interface FoundPolicy {
  readonly policy: Policy;
  readonly origin: string;
  /** Whether no document takes its place. */
  readonly inForce: boolean;
}

/** One thing that is wrong with a policy. */
interface PolicyProblem {
  readonly origin: string;
  readonly problem: string;
}

interface FoundPolicies {
  readonly policies: readonly FoundPolicy[];
  readonly problems: readonly PolicyProblem[];
}

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

  const validate = policies
    .command("validate")
    .argument("[file]", SOURCE)
    .description("Say what is wrong with policies.")
    .addHelpText(
      "after",
      "\nExamples:\n  npx firestore-redis-quota policies validate policies.json" +
        "\n  npx firestore-redis-quota policies validate --env-file extensions/quota.env --project my-project",
    )
    .action(async (file?: string) => {
      const { policies, problems } = await read(validate, cli, file);
      cli.failed = problems.length > 0;
      const valid = policies.map(({ origin, policy: { name }, inForce }) => ({ name, origin, inForce }));
      cli.print(validate, { valid, problems }, () => {
        const lines = problems.map(({ origin, problem }) => `${origin}: ${problem}`);
        return [...lines, describeValid(policies)].join("\n");
      });
    });

  const explain = policies
    .command("explain")
    .argument("[file]", SOURCE)
    .description("Say in words what policies allow.")
    .addHelpText(
      "after",
      "\nExamples:\n  npx firestore-redis-quota policies explain policies.json" +
        "\n  npx firestore-redis-quota policies explain --env-file extensions/quota.env --project my-project",
    )
    .action(async (file?: string) => {
      const { policies, problems } = await read(explain, cli, file);
      cli.failed = problems.length > 0;
      const explained = policies.map(({ policy, origin, inForce }) => ({
        name: policy.name,
        origin,
        inForce,
        explanation: explainPolicy(policy),
      }));
      cli.print(explain, { policies: explained, problems }, () =>
        table([
          ...explained.map(({ name, origin, inForce, explanation }) => [
            name,
            origin,
            inForce ? explanation : "not in force: a document has this name",
          ]),
          ...problems.map(({ origin, problem }) => ["INVALID", origin, problem]),
        ]),
      );
    });

  const attempt = policies
    .command("try")
    .argument("<policy>", "name of the policy")
    .argument("<subject>", "who asks")
    .option("--cost <n>", "what the request counts for", count("--cost"), 1)
    .option("--count", "count it; otherwise it is only looked at")
    .description("Decide one request, without counting it unless told to.")
    .addHelpText(
      "after",
      "\nExamples:\n  npx firestore-redis-quota policies try ai-chat some-uid --cost 2" +
        "\n  npx firestore-redis-quota policies try ai-chat some-uid --count --env-file extensions/quota.env",
    )
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

/** The policies of a file, or else those of the configuration and the documents that come before them. */
async function read(command: Command, cli: Cli, file: string | undefined): Promise<FoundPolicies> {
  if (file !== undefined) return found(file, readTextFile(file, "file").replace(/^\uFEFF/, ""));
  const params = cli.params(command);
  const configured = found("RATE_LIMIT_POLICIES", params.RATE_LIMIT_POLICIES || "[]");
  const { database, policyCollection } = parsePolicyLocation(params);
  if (policyCollection === undefined) return configured;

  const documents: FoundPolicy[] = [];
  const problems = [...configured.problems];
  for (const { path, policy } of await readPolicyDocuments(
    cli.firestore(database, command),
    policyCollection,
  )) {
    if (policy instanceof InvalidPolicies)
      problems.push(...policy.problems.map((problem) => ({ origin: path, problem })));
    else documents.push({ policy, origin: path, inForce: true });
  }
  const replaced = new Set(documents.map(({ policy }) => policy.name));
  const policies = configured.policies.map((each) => ({
    ...each,
    inForce: !replaced.has(each.policy.name),
  }));
  return { policies: [...policies, ...documents], problems };
}

function found(origin: string, json: string): FoundPolicies {
  try {
    const policies = parsePolicies(json).map((policy) => ({ policy, origin, inForce: true }));
    return { policies, problems: [] };
  } catch (error) {
    if (!(error instanceof InvalidPolicies)) throw error;
    return { policies: [], problems: error.problems.map((problem) => ({ origin, problem })) };
  }
}

function describeValid(policies: readonly FoundPolicy[]): string {
  const named = policies.map(({ policy, origin, inForce }) =>
    inForce ? `${policy.name} (${origin})` : `${policy.name} (${origin}, not in force)`,
  );
  const count = `${named.length} valid ${named.length === 1 ? "policy" : "policies"}`;
  return named.length === 0 ? `${count}.` : `${count}: ${named.join(", ")}.`;
}

function explainPolicy({ by, maxCost, limits: { limits, onRedisFailure }, overrides }: Policy): string {
  const who = by === "global" ? "all callers together" : `each ${by}`;
  const rules = limits.map(({ algorithm, limit, windowMs, capacity }) =>
    algorithm === "token-bucket"
      ? `${limit} per ${windowMs / 1000} s, at most ${capacity} at once`
      : `${limit} per ${windowMs / 1000} s (${algorithm})`,
  );
  const own = overrides.size === 0 ? "" : `; ${overrides.size} subjects have limits of their own`;
  const cost = maxCost === 1 ? "" : `; clients may pass a cost of at most ${maxCost}`;
  return `${who}: ${rules.join(" and ")}${cost}${own}; without Redis: ${onRedisFailure}`;
}
