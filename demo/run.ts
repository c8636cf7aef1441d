/**
 * Shows the extension at work in the Firebase emulators, measures it and says what was not as expected.
 *
 * Usage: npm run demo [-- --once] [-- --official]
 *   --once      end after the last step, with 0 only if everything was as expected
 *   --official  Google's own emulators instead of the stand-ins; they need Java 21 and a download
 */
import { parseArgs } from "node:util";
import { formatMs } from "./latency.ts";
import { Report } from "./report.ts";
import { CleanUp, type Stack, startStack } from "./stack.ts";
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

const STEPS: [title: string, step: Step][] = [
  ["Warm up", warmUp],
  ["Seed 600 providers and mirror them", seedProviders],
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

const INTERRUPTED = 130;

async function demonstrate(official: boolean, report: Report, cleanUp: CleanUp): Promise<Stack> {
  const startedAt = performance.now();
  report.section("Start Redis and the Firebase emulators");
  const stack = await startStack(official, report, cleanUp);
  for (const [title, step] of STEPS) {
    report.section(title);
    await step(stack, report).catch((error: Error) => {
      report.expect(title, { expected: "no error", measured: error.message, holds: false });
    });
  }
  report.summary();
  report.line(`It took ${formatMs(performance.now() - startedAt)}.`);
  return stack;
}

function untilInterrupted(): Promise<"interrupted"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => resolve("interrupted"));
  });
}

async function main(): Promise<number> {
  const { values: options } = parseArgs({
    options: { once: { type: "boolean", default: false }, official: { type: "boolean", default: false } },
  });
  const interrupted = untilInterrupted();
  const report = new Report();
  const cleanUp = new CleanUp();
  try {
    const stack = await Promise.race([demonstrate(options.official, report, cleanUp), interrupted]);
    if (stack === "interrupted") return INTERRUPTED;
    if (!options.once) {
      printWhatToTry(stack, report);
      await interrupted;
    }
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
