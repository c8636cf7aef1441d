import { formatMs } from "../latency.ts";
import { committed } from "../mirror-watch.ts";
import type { Report } from "../report.ts";
import { AI_CHAT, type Stack } from "../stack.ts";

/** More at once than the emulator runs, so that it starts all the processes that it ever will. */
const BURST = 8;
const ROUNDS = 3;
const PROVIDERS = Array.from({ length: BURST }, (_, index) => `warm-up-${index + 1}`);
const MIRROR_TIMEOUT_MS = 15_000;

/** Has the emulator start its function processes, so that what is measured afterwards is not their start. */
export async function warmUp(stack: Stack, report: Report): Promise<void> {
  report.note(
    "The emulator starts a process for each call in flight; these are started before anything is measured.",
  );
  const { user, providers } = stack;
  const functions: [name: string, run: (providerId: string) => Promise<unknown>][] = [
    ["checkQuota", (providerId) => user.checkQuota(providerId)],
    ["checkRateLimit", () => user.checkRateLimit({ policy: AI_CHAT.name, peek: true })],
    ["mirrorQuota", (providerId) => writeAndWait(stack, providerId)],
  ];
  for (const [name, run] of functions) {
    report.progress(`first call of ${name}`);
    const startedAt = performance.now();
    await run(PROVIDERS[0]!);
    report.value(`first ${name}, cold`, formatMs(performance.now() - startedAt));
    for (let round = 0; round < ROUNDS; round++) {
      report.progress(`warming ${name} up, round ${round + 1} of ${ROUNDS}`);
      await Promise.all(PROVIDERS.map(run));
    }
  }
  const deletions = await Promise.all(PROVIDERS.map((id) => committed(id, providers.doc(id).delete())));
  await stack.mirror.untilMirrored(deletions, MIRROR_TIMEOUT_MS);
}

async function writeAndWait({ providers, mirror }: Stack, id: string): Promise<void> {
  const write = await committed(id, providers.doc(id).set({ aiCallsUsed: 0, aiCallsLimit: 1 }));
  await mirror.untilMirrored([write], MIRROR_TIMEOUT_MS);
}
