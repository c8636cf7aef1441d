import type { QuotaCheck } from "../../functions/dist/quota/quota-service.js";
import { formatMs } from "../latency.ts";
import { EXHAUSTED_PROVIDER_ID } from "../providers.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";
import { lookUntil } from "../timing.ts";

const NEW_LIMIT = 250;
const DELETED_PROVIDER_ID = "helper-002";

/** Raises a limit and deletes a provider in Firestore, and sees what a check answers. */
export async function propagateChanges(stack: Stack, report: Report): Promise<void> {
  await raiseLimit(stack, report);
  await deleteProvider(stack, report);
}

async function raiseLimit({ providers, user }: Stack, report: Report): Promise<void> {
  const check = async (): Promise<QuotaCheck> => (await user.checkQuota(EXHAUSTED_PROVIDER_ID)).answer;
  const before = await check();
  report.expect(`${EXHAUSTED_PROVIDER_ID}, which has used all`, {
    expected: "no quota left, by Redis",
    measured: describe(before),
    holds: !before.hasQuota && before.remaining === 0 && before.source === "redis",
  });
  await providers.doc(EXHAUSTED_PROVIDER_ID).update({ aiCallsLimit: NEW_LIMIT });
  const { last, ms } = await lookUntil(check, ({ limit }) => limit === NEW_LIMIT);
  report.expect(`its limit raised to ${NEW_LIMIT} in Firestore`, {
    expected: `quota left, limit ${NEW_LIMIT}, by Redis`,
    measured: `${describe(last)}, after ${formatMs(ms)}`,
    holds: last.hasQuota && last.limit === NEW_LIMIT && last.source === "redis",
  });
}

async function deleteProvider({ providers, user }: Stack, report: Report): Promise<void> {
  const check = async (): Promise<QuotaCheck> => (await user.checkQuota(DELETED_PROVIDER_ID)).answer;
  await providers.doc(DELETED_PROVIDER_ID).delete();
  const { last, ms } = await lookUntil(check, ({ found }) => !found);
  report.expect(`${DELETED_PROVIDER_ID} deleted in Firestore`, {
    expected: "not found, by Redis",
    measured: `${describe(last)}, after ${formatMs(ms)}`,
    holds: !last.found && last.source === "redis",
  });
}

function describe({ found, hasQuota, used, limit, source }: QuotaCheck): string {
  const state = !found ? "not found" : hasQuota ? "quota left" : "no quota left";
  return `${state} (${used} of ${limit}), by ${source === "redis" ? "Redis" : "Firestore"}`;
}
