import type { Timed } from "../app-user.ts";
import type { QuotaCheck } from "../../functions/dist/quota/quota-service.js";
import { countEqual, forgetQuotas, type Quota, quotasInFirestore, quotasInRedis } from "../quotas.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";
import { inParallel } from "../timing.ts";

/** As many as the emulator runs: more would only wait in its queue, and the wait would be what is measured. */
const CONCURRENCY = 4;

/** Checks every provider twice through the callable: as Redis holds it, and after Redis has lost it. */
export async function checkAll(stack: Stack, report: Report): Promise<void> {
  report.note(
    `checkQuota over HTTP with an ID token, ${CONCURRENCY} at a time; the time includes the emulator's own.`,
  );
  const quotas = await quotasInFirestore(stack);
  const ids = [...quotas.keys()];

  expectSource("redis", await checkEach(stack, ids, report), quotas, report);
  await forgetQuotas(stack, ids);
  report.note("All entries are removed from Redis: each check now reads Firestore, and puts the entry back.");
  expectSource("firestore", await checkEach(stack, ids, report), quotas, report);

  const refilled = countEqual(quotas, await quotasInRedis(stack, ids));
  report.expect("entries back in Redis after that", {
    expected: `${ids.length}`,
    measured: `${refilled}`,
    holds: refilled === ids.length,
  });
}

function checkEach({ user }: Stack, ids: readonly string[], report: Report): Promise<Timed<QuotaCheck>[]> {
  let done = 0;
  return inParallel(ids, CONCURRENCY, async (id) => {
    const check = await user.checkQuota(id);
    report.progress(`${++done} of ${ids.length} checked`);
    return check;
  });
}

function expectSource(
  source: QuotaCheck["source"],
  checks: readonly Timed<QuotaCheck>[],
  quotas: ReadonlyMap<string, Quota>,
  report: Report,
): void {
  const name = source === "redis" ? "Redis" : "Firestore";
  const fromSource = checks.filter(({ answer }) => answer.source === source);
  report.latency(
    `check through the emulator, by ${name}`,
    fromSource.map(({ ms }) => ms),
  );
  const answers = new Map([...quotas.keys()].map((id, index) => [id, checks[index]!.answer]));
  const right = countEqual(quotas, answers);
  report.expect(`checks answered by ${name}`, {
    expected: `${quotas.size}, each with Firestore's quota`,
    measured: `${fromSource.length}, ${right} right`,
    holds: fromSource.length === quotas.size && right === quotas.size,
  });
}
