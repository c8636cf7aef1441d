import { writeFileSync } from "node:fs";

import type { Command } from "commander";

import { advise, INSTANCES, PRICES, type Advice, type Prices, type Workload } from "./advice";
import { costsSvg } from "./costs-svg";
import { UsageError, type Cli } from "./cli";
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
  readonly priceReads?: number;
  readonly priceWrites?: number;
  readonly priceRedisGb?: number;
  readonly priceConnector?: number;
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
    .option("--svg <file>", "write the costs as a picture: side by side, and as the load grows")
    .option("--price-reads <dollars>", "of 100,000 reads", number("--price-reads"))
    .option("--price-writes <dollars>", "of 100,000 writes", number("--price-writes"))
    .option("--price-redis-gb <dollars>", "of 1 GB of Redis a month, in the tier", number("--price-redis-gb"))
    .option("--price-connector <dollars>", "of the connector a month", number("--price-connector"))
    .addHelpText(
      "after",
      "\nExamples:\n  npx firestore-redis-quota advise --providers 800 --reads-per-day 120000 --p95-ms 240 --firestore-cost 60" +
        "\n  npx firestore-redis-quota advise --sample --reads-per-day 120000 --svg costs.svg" +
        "\n  npx firestore-redis-quota advise --providers 800 --reads-per-day 9000000 --price-reads 0.03 --price-writes 0.09",
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
      const advice = advise(workload, pricesOf(options));
      if (options.svg !== undefined) writeSvg(options.svg, costsSvg(advice, workload));
      cli.print(command, { workload, ...advice }, () => describe(advice, workload));
    });
}

function pricesOf({ priceReads, priceWrites, priceRedisGb, priceConnector }: Options): Prices {
  const own = [priceReads, priceWrites, priceRedisGb, priceConnector].some((price) => price !== undefined);
  return {
    ...PRICES,
    ...(own && { asOf: "your prices, else list prices of 2025" }),
    readsPer100k: priceReads ?? PRICES.readsPer100k,
    writesPer100k: priceWrites ?? PRICES.writesPer100k,
    basicPerGb: priceRedisGb ?? PRICES.basicPerGb,
    standardPerGb: priceRedisGb ?? PRICES.standardPerGb,
    connector: priceConnector ?? PRICES.connector,
  };
}

function writeSvg(file: string, svg: string): void {
  try {
    writeFileSync(file, svg);
  } catch (error) {
    throw new UsageError(`--svg: ${(error as Error).message}`);
  }
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

const dollars = (value: number) => `$${value.toFixed(2)}`;

function describe(advice: Advice, workload: Workload): string {
  const { readsPerDay, callsPerDay, ttlSeconds, syncsPerDay } = workload;
  const { indicators, recommendation, reason, costs, readsSavedShare, breakEvenFactor, prices } = advice;
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
    "",
    describeInstances(advice),
    "",
    table([["Dollars a month", "reads", "writes", "Redis", "connector", "total"], ...costRows]),
    "",
    barChart(costs.map(({ option, total }) => ({ label: option, value: total }))),
    "",
    `redis-primary reads ${Math.abs(100 * readsSavedShare).toFixed(0)} % ${readsSavedShare < 0 ? "more" : "fewer"} documents than staying does.`,
    ...adviseTtl(workload),
    breakEvenFactor === undefined
      ? "At no load is redis-primary as cheap as staying."
      : `Break-even: redis-primary is as cheap as staying at ${breakEvenFactor.toFixed(1)} times this load, ` +
        `${Math.round(readsPerDay * breakEvenFactor)} reads and ${Math.round(callsPerDay * breakEvenFactor)} calls a day.`,
    `Assumed: ${readsPerDay} reads and ${callsPerDay} calls a day; quotas kept ${ttlSeconds} s; ${syncsPerDay} syncs a day; ` +
      `${dollars(prices.readsPer100k)} and ${dollars(prices.writesPer100k)} for 100,000 reads and writes beyond ` +
      `${prices.freeReadsPerDay} and ${prices.freeWritesPerDay} free a day; ${prices.asOf}; functions and traffic left out.`,
  ].join("\n");
}

/** Where a quota has mostly expired before it is asked for again, Redis saves little. */
function adviseTtl({ providers, readsPerDay, ttlSeconds }: Workload): string[] {
  const intervalSeconds = Math.round((providers * 86_400) / Math.max(1, readsPerDay));
  if (intervalSeconds < ttlSeconds / 2) return [];
  return [
    `A provider is checked every ${intervalSeconds} s on average, and its quota kept for ${ttlSeconds} s: ` +
      "a longer QUOTA_TTL_SECONDS saves more, as the mirror keeps what is kept up to date. Try --ttl-seconds 86400.",
  ];
}

/** The guide's table, with the instance that fits. */
function describeInstances({ instance, prices }: Advice): string {
  const rows = INSTANCES.map(({ tier, sizeGb, providers }) => ({
    tier,
    sizeGb,
    perMonth: sizeGb * (tier === "basic" ? prices.basicPerGb : prices.standardPerGb),
    fits: `${providers} providers${tier === "standard" ? ", with a replica" : ""}`,
  }));
  const isYours = (row: { readonly tier: string; readonly sizeGb: number }) =>
    row.tier === instance.tier && row.sizeGb === instance.sizeGb;
  const all = rows.some(isYours) ? rows : [...rows, { ...instance, fits: "beyond the guide's table" }];
  return table([
    ["Memorystore", "", "a month", "for", ""],
    ...all.map((row) => [
      row.tier,
      `${row.sizeGb} GB`,
      dollars(row.perMonth),
      row.fits,
      isYours(row) ? "<- yours" : "",
    ]),
  ]);
}
