import { extensionInstanceId, functionTarget } from "./config/environment";
import type * as callables from "./deployables/kit/callables";
import type * as jobs from "./deployables/kit/jobs";
import type * as mirrors from "./deployables/kit/mirrors";

const PARTS = {
  mirrors: ["mirrorQuota", "mirrorSession"],
  callables: ["checkQuota", "consumeQuota", "checkRateLimit", "getStatus"],
  jobs: ["syncQuotas", "backfillQuotas"],
} as const satisfies Record<string, readonly string[]>;

// Not both: to load the kit's declarations is to declare what it needs of a project, and an extension's are of the
// first generation, which no kit may hold.
const form = extensionInstanceId() === undefined ? "kit" : "extension";
const target = functionTarget();
const runsOneOfThese = Object.values(PARTS).some((names) => includes(names, target));

/**
 * The declarations of one part. An instance that runs a function of another part has none of it: to load what declares
 * the trigger of a document takes longer than all that a callable needs.
 */
function load<T>(part: keyof typeof PARTS): T {
  if (runsOneOfThese && !includes(PARTS[part], target)) return {} as T;
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import cannot be conditional and synchronous
  return require(`./deployables/${form}/${part}`) as T;
}

function includes(names: readonly string[], name: string | undefined): boolean {
  return name !== undefined && names.includes(name);
}

// Only the CLI looks at this; it lists the functions in a process that runs none.
if (form === "kit" && target === undefined) {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import cannot be conditional and synchronous
  require("./deployables/kit/requirements");
}

export const { mirrorQuota, mirrorSession } = load<typeof mirrors>("mirrors");
export const { checkQuota, consumeQuota, checkRateLimit, getStatus } = load<typeof callables>("callables");
export const { syncQuotas, backfillQuotas } = load<typeof jobs>("jobs");
