import type { QuotaService } from "../../functions/dist/quota/quota-service.js";
import { openServices } from "../in-process-services.ts";
import { summarize } from "../latency.ts";
import { measured } from "../measured.ts";
import { forgetQuotas, quotasInFirestore } from "../quotas.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";

/** Measures the check itself, in this process: what a function pays for it, without HTTP and the emulator around it. */
export async function checkInProcess(stack: Stack, report: Report): Promise<void> {
  report.note(
    "QuotaService.check of the built package, called in this process one after another, without HTTP.",
  );
  const ids = [...(await quotasInFirestore(stack)).keys()];
  const { quotaService: service, close } = openServices(stack, "dual-write");
  try {
    await service.check(ids[0]!); // connects
    const byRedis = await timeChecks(service, ids, "redis");
    report.latency("check in process, by Redis", byRedis);
    await forgetQuotas(stack, ids);
    const byFirestore = await timeChecks(service, ids, "firestore");
    report.latency("check in process, by Firestore", byFirestore);
    report.note(
      "Firestore is an emulator on this machine here; in production a read takes tens of milliseconds.",
    );
    const { p50 } = summarize(byRedis);
    report.expect("check in process, by Redis", {
      expected: `${ids.length}, p50 at most 2 ms`,
      measured: `${byRedis.length}, p50 ${p50.toFixed(2)} ms`,
      holds: byRedis.length === ids.length && p50 <= 2,
    });
  } finally {
    close();
  }
}

/** The durations of those checks that this source answered. */
async function timeChecks(
  service: QuotaService,
  ids: readonly string[],
  source: "redis" | "firestore",
): Promise<number[]> {
  const durationsMs: number[] = [];
  for (const id of ids) {
    const startedAt = performance.now();
    const check = await service.check(id);
    const ms = performance.now() - startedAt;
    measured.emit("quotaCall", { way: "in-process", source: check.source, ms });
    if (check.source === source) durationsMs.push(ms);
  }
  return durationsMs;
}
