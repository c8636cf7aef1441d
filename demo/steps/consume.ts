import { AppUser } from "../app-user.ts";
import { openServices } from "../in-process-services.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";

const LIMIT = 10;
const CALLS = 15;
const PROVIDERS = 100;
const CALLS_PER_PROVIDER = 60;
const LIMIT_PER_PROVIDER = 50;

/** Consumes quotas: through the callable, where Firestore decides, and in process, where Redis does. */
export async function consumeQuotas(stack: Stack, report: Report): Promise<void> {
  await consumeThroughCallable(stack, report);
  await consumeInRedis(stack, report);
}

async function consumeThroughCallable({ emulators, providers }: Stack, report: Report): Promise<void> {
  report.note("consumeQuota in mode dual-write: Firestore decides, and Redis is told at once.");
  const id = "consuming-lawyer";
  await providers.doc(id).set({ aiCallsUsed: 0, aiCallsLimit: LIMIT });
  const lawyer = await AppUser.signIn(emulators, id);
  const calls = await Promise.all(Array.from({ length: CALLS }, () => lawyer.consumeQuota(id)));
  const allowed = calls.filter(({ answer }) => answer.allowed).length;
  const { aiCallsUsed } = (await providers.doc(id).get()).data()!;
  const { answer: check } = await lawyer.checkQuota(id);
  report.expect(`${CALLS} calls of one provider at once`, {
    expected: `${LIMIT} allowed; ${LIMIT} used in both`,
    measured: `${allowed} allowed; ${aiCallsUsed} used in Firestore, ${check.used} by ${check.source}`,
    holds: allowed === LIMIT && aiCallsUsed === LIMIT && check.used === LIMIT && check.source === "redis",
  });
}

async function consumeInRedis(stack: Stack, report: Report): Promise<void> {
  report.note(
    "QuotaService.consume in process in mode redis-primary: Redis decides, a sync tells Firestore.",
  );
  const ids = Array.from({ length: PROVIDERS }, (_, i) => `busy-lawyer-${i}`);
  await Promise.all(
    ids.map((id) => stack.providers.doc(id).set({ aiCallsUsed: 0, aiCallsLimit: LIMIT_PER_PROVIDER })),
  );
  const { quotaService: service, quotaSync: sync, close } = openServices(stack, "redis-primary");
  try {
    await Promise.all(ids.map((id) => service.check(id)));
    const startedAt = performance.now();
    const turns = ids.flatMap((id) => Array<string>(CALLS_PER_PROVIDER).fill(id));
    const answers = await Promise.all(turns.map((id) => service.consume(id)));
    const seconds = (performance.now() - startedAt) / 1000;
    const allowed = answers.filter((answer) => answer.allowed).length;
    report.expect(`${turns.length} calls of ${PROVIDERS} providers at once`, {
      expected: `${PROVIDERS * LIMIT_PER_PROVIDER} allowed, all by Redis`,
      measured: `${allowed} allowed, ${Math.round(turns.length / seconds)} calls/s`,
      holds: allowed === PROVIDERS * LIMIT_PER_PROVIDER && answers.every(({ source }) => source === "redis"),
    });

    const { flushed } = await sync.flushAll({ deadlineMs: Date.now() + 30_000 });
    const used = await Promise.all(
      ids.map(async (id) => (await stack.providers.doc(id).get()).get("aiCallsUsed") as number),
    );
    const total = used.reduce((sum, each) => sum + each, 0);
    report.expect("the same usage in Firestore after a sync", {
      expected: `${allowed}, of ${PROVIDERS} providers`,
      measured: `${total}, of ${flushed} providers`,
      holds: total === allowed && flushed === PROVIDERS,
    });
  } finally {
    close();
  }
}
