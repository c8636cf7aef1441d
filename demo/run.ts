/**
 * Shows the extension at work in the Firebase emulators, on a page and in the terminal, measures it and says what was
 * not as expected.
 *
 * Usage: npm run demo [-- --once] [-- --no-steps] [-- --official] [-- --screenshots DIR]
 *   --once             no page; end after the last step, with 0 only if everything was as expected
 *   --no-steps         only start everything, with providers, for the page
 *   --official         Google's own emulators instead of the stand-ins; they need Java 21 and a download
 *   --screenshots DIR  use the page after the last step, take pictures of it, and end; needs Chromium
 */
import { parseArgs } from "node:util";
import { Console } from "./console/console.ts";
import { formatMs } from "./latency.ts";
import { Report } from "./report.ts";
import { CleanUp, type Stack, startStack } from "./stack.ts";
import { takeScreenshots } from "./screenshots.ts";
import { chat } from "./steps/ai-chat.ts";
import { refuseBadInput } from "./steps/bad-input.ts";
import { propagateChanges } from "./steps/changes.ts";
import { checkAll } from "./steps/checks.ts";
import { consumeQuotas } from "./steps/consume.ts";
import { checkInProcess } from "./steps/in-process.ts";
import { surviveOutage } from "./steps/outage.ts";
import { hitRateLimit } from "./steps/rate-limit.ts";
import { seedProviders } from "./steps/seed.ts";
import { measureLag } from "./steps/single-changes.ts";
import { warmUp } from "./steps/warm-up.ts";
import { printWhatToTry } from "./try-it.ts";

type Step = (stack: Stack, report: Report) => Promise<void>;

const SEED: [title: string, step: Step] = ["Seed 600 providers and mirror them", seedProviders];

const STEPS: [title: string, step: Step][] = [
  ["Warm up", warmUp],
  SEED,
  ["Change single documents", measureLag],
  ["Check quotas through the callable", checkAll],
  ["Check quotas in process", checkInProcess],
  ["Change a limit, delete a provider", propagateChanges],
  ["Consume quotas", consumeQuotas],
  ["Reach a rate limit", hitRateLimit],
  ["Chat through the app's own function", chat],
  ["Stop Redis and start it again", surviveOutage],
  ["Refuse bad input", refuseBadInput],
];

const START = "Start Redis and the Firebase emulators";
const INTERRUPTED = 130;

interface Options {
  readonly once: boolean;
  readonly "no-steps": boolean;
  readonly official: boolean;
  readonly screenshots?: string;
}

async function demonstrate(options: Options, report: Report, cleanUp: CleanUp): Promise<Stack> {
  const startedAt = performance.now();
  const steps = options["no-steps"] ? [SEED] : STEPS;
  const page = options.once
    ? undefined
    : await Console.open([START, ...steps.map(([title]) => title)], report, cleanUp);
  if (page) report.line(`The console, from now on: ${page.url}`);
  report.section(START);
  const log = page ? page.readLog : () => {};
  const stack = await startStack({ official: options.official, log }, report, cleanUp);
  page?.attach(stack);
  for (const [title, step] of steps) {
    report.section(title);
    await step(stack, report).catch((error: Error) => {
      report.expect(title, { expected: "no error", measured: error.message, holds: false });
    });
  }
  report.summary();
  report.line(`It took ${formatMs(performance.now() - startedAt)}.`);
  await page?.handOver(stack);
  if (page && options.screenshots) await takeScreenshots(page.url, options.screenshots, report);
  else if (page) printWhatToTry(stack, page.url, report);
  return stack;
}

function untilInterrupted(): Promise<"interrupted"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => resolve("interrupted"));
  });
}

async function main(): Promise<number> {
  const { values: options } = parseArgs({
    options: {
      once: { type: "boolean", default: false },
      "no-steps": { type: "boolean", default: false },
      official: { type: "boolean", default: false },
      screenshots: { type: "string" },
    },
  });
  const interrupted = untilInterrupted();
  const report = new Report();
  const cleanUp = new CleanUp();
  try {
    const stack = await Promise.race([demonstrate(options, report, cleanUp), interrupted]);
    if (stack === "interrupted") return INTERRUPTED;
    if (!options.once && !options.screenshots) await interrupted;
    return report.failed ? 1 : 0;
  } finally {
    report.line("\nStopping.");
    report.mute();
    await cleanUp.run();
  }
}

try {
  process.exit(await main());
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
