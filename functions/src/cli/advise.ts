import { writeFileSync } from "node:fs";

import type { Command } from "commander";

import { advise, type Advice, type Workload } from "./advice";
import type { Cli } from "./cli";
import { number } from "./options";
import { barChart, table } from "./table";

/** Documents that are read one by one for `--sample`. */
const SAMPLED_READS = 20;

interface Options {
  readonly providers?: number;
  readonly readsPerDay: number;
  readonly callsPerDay?: number;
  readonly p95Ms?: number;
  readonly firestoreCost: number;
  readonly ttlSeconds: number;
  readonly syncsPerDay: number;
  readonly ha?: boolean;
  readonly sample?: boolean;
  readonly svg?: string;
}

/** `advise`: whether to move, to what, and what it costs. */
export function addAdvise(program: Command, cli: Cli): void {
  const command = program
    .command("advise")
    .description("Say whether Redis is worth it: the guide's indicators, a size, and the costs side by side.")
    .option("--providers <n>", "concurrent providers", number("--providers"))
    .option("--reads-per-day <n>", "Firestore reads a day for checks", number("--reads-per-day"), 0)
    .option(
      "--calls-per-day <n>",
      "consumed calls a day, a write each; as many as reads if absent",
      number("--calls-per-day"),
    )
    .option("--p95-ms <n>", "95th percentile of a check", number("--p95-ms"))
    .option("--firestore-cost <dollars>", "Firestore's bill a month", number("--firestore-cost"), 0)
    .option("--ttl-seconds <n>", "QUOTA_TTL_SECONDS", number("--ttl-seconds"), 300)
    .option("--syncs-per-day <n>", "as SYNC_SCHEDULE says", number("--syncs-per-day"), 288)
    .option("--ha", "with a replica: Memorystore's standard tier")
    .option("--sample", `measure what is absent: count the documents, and read ${SAMPLED_READS} of them`)
    .option("--svg <file>", "write the chart of the costs")
    .addHelpText(
      "after",
      "\nExamples:\n  npx firestore-redis-quota advise --providers 800 --reads-per-day 120000 --p95-ms 240 --firestore-cost 60" +
        "\n  npx firestore-redis-quota advise --sample --reads-per-day 120000 --svg costs.svg",
    )
    .action(async (options: Options) => {
      const measured = options.sample ? await measure(command, cli) : { providers: 0, p95Ms: 0 };
      const workload: Workload = {
        providers: options.providers ?? measured.providers,
        readsPerDay: options.readsPerDay,
        callsPerDay: options.callsPerDay ?? options.readsPerDay,
        p95Ms: options.p95Ms ?? measured.p95Ms,
        firestoreCost: options.firestoreCost,
        ttlSeconds: options.ttlSeconds,
        syncsPerDay: options.syncsPerDay,
        highAvailability: options.ha ?? false,
      };
      const advice = advise(workload);
      if (options.svg !== undefined) writeFileSync(options.svg, costsSvg(advice));
      cli.print(command, { workload, ...advice }, () => describe(advice, workload));
    });
}

async function measure(
  command: Command,
  cli: Cli,
): Promise<{ readonly providers: number; readonly p95Ms: number }> {
  const { quotaBackfill, quotaInspector } = cli.services(command);
  const { documents: providers } = await quotaBackfill.plan();
  // The first read opens the connection.
  await quotaInspector.sampleDocuments(1);
  const times: number[] = [];
  for (let i = 0; i < SAMPLED_READS; i++) {
    const startedMs = performance.now();
    await quotaInspector.sampleDocuments(1);
    times.push(performance.now() - startedMs);
  }
  times.sort((a, b) => a - b);
  return { providers, p95Ms: Math.round(times[Math.ceil(0.95 * times.length) - 1]!) };
}

function describe(advice: Advice, { readsPerDay, callsPerDay, ttlSeconds, syncsPerDay }: Workload): string {
  const { indicators, recommendation, reason, instance, costs, breakEvenFactor, pricesAsOf } = advice;
  const dollars = (value: number) => `$${value.toFixed(2)}`;
  const indicatorRows = indicators.map(({ name, value, threshold, reached, weight }) => [
    name,
    String(value),
    String(threshold),
    reached ? `reached (${weight})` : "not reached",
  ]);
  const costRows = costs.map((each) => [
    each.option,
    ...[each.reads, each.writes, each.redis, each.connector, each.total].map(dollars),
  ]);
  return [
    table([["Indicator", "Yours", "Guide's", ""], ...indicatorRows]),
    "",
    `Recommendation: ${recommendation}. ${reason}`,
    `Memorystore: ${instance.tier}, ${instance.sizeGb} GB, about ${dollars(instance.perMonth)} a month.`,
    "",
    table([["Dollars a month", "reads", "writes", "Redis", "connector", "total"], ...costRows]),
    "",
    barChart(costs.map(({ option, total }) => ({ label: option, value: total }))),
    "",
    breakEvenFactor === undefined
      ? "At no load is redis-primary as cheap as staying."
      : `redis-primary is as cheap as staying at ${breakEvenFactor.toFixed(1)} times this load: ` +
        `${Math.round(readsPerDay * breakEvenFactor)} reads and ${Math.round(callsPerDay * breakEvenFactor)} calls a day.`,
    `Assumed: ${readsPerDay} reads and ${callsPerDay} calls a day; quotas kept ${ttlSeconds} s; ${syncsPerDay} syncs a day;` +
      ` Firestore multi-region and Memorystore list prices of ${pricesAsOf}, less the free quota; functions and traffic left out.`,
  ].join("\n");
}

/** The costs as bars. */
export function costsSvg({ costs, pricesAsOf }: Pick<Advice, "costs" | "pricesAsOf">): string {
  const most = Math.max(...costs.map(({ total }) => total), 1);
  const bars = costs.map(({ option, total }, i) => {
    const y = 50 + 44 * i;
    return (
      `<text x="16" y="${y + 20}">${option}</text>` +
      `<rect x="140" y="${y}" width="${((total / most) * 400).toFixed(1)}" height="28" fill="#3367d6"/>` +
      `<text x="${(148 + (total / most) * 400).toFixed(1)}" y="${y + 20}">$${total.toFixed(2)}</text>`
    );
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="640" height="200" font-family="sans-serif" font-size="14">` +
    `<rect width="640" height="200" fill="#fff"/><text x="16" y="28" font-weight="bold">Dollars a month (list prices of ${pricesAsOf})</text>` +
    `${bars.join("")}</svg>\n`
  );
}
