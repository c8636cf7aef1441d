import { writeFileSync } from "node:fs";

import type { Command } from "commander";

import {
  advise,
  INSTANCES,
  PRICES,
  type Advice,
  type Figures,
  type Instance,
  type Prices,
  type Workload,
} from "./advice";
import { costsSvg } from "./costs-svg";
import type { Cli } from "./cli";
import { number } from "./options";
import { barChart, table } from "./table";
import { UsageError } from "./usage-error";

/** Documents that are read one by one for `--sample`. */
const SAMPLED_READS = 20;

interface Options {
  readonly providers?: number;
  readonly readsPerDay?: number;
  readonly callsPerDay?: number;
  readonly p95Ms?: number;
  readonly firestoreCost?: number;
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
    .option("--reads-per-day <n>", "Firestore reads a day for checks", number("--reads-per-day"))
    .option(
      "--calls-per-day <n>",
      "consumed calls a day, a write each; as many as reads if absent",
      number("--calls-per-day"),
    )
    .option("--p95-ms <n>", "95th percentile of a check", number("--p95-ms"))
    .option(
      "--firestore-cost <dollars>",
      "Firestore's bill a month; what the reads and calls cost if absent",
      number("--firestore-cost"),
    )
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
      "\nExamples:\n  npx firestore-redis-quota advise --providers 800 --reads-per-day 120000 --p95-ms 240" +
        "\n  npx firestore-redis-quota advise --sample --reads-per-day 120000 --svg costs.svg" +
        "\n  npx firestore-redis-quota advise --providers 800 --reads-per-day 9000000 --price-reads 0.03 --price-writes 0.09",
    )
    .action(async (options: Options) => {
      const measured = options.sample ? await measure(command, cli) : undefined;
      const figures: Figures = {
        providers: options.providers ?? measured?.providers,
        readsPerDay: options.readsPerDay,
        callsPerDay: options.callsPerDay ?? options.readsPerDay,
        p95Ms: options.p95Ms ?? measured?.p95Ms,
        firestoreCost: options.firestoreCost,
        ttlSeconds: options.ttlSeconds,
        syncsPerDay: options.syncsPerDay,
        highAvailability: options.ha ?? false,
      };
      const advice = advise(figures, pricesOf(options));
      if (advice.indicators.every(({ value }) => value === undefined))
        throw new UsageError(
          "advise: no figure given; expected one or more of --providers, --reads-per-day, --p95-ms and " +
            "--firestore-cost, or --sample",
        );
      if (options.svg !== undefined) writeSvg(options.svg, advice, figures);
      cli.print(command, { figures, ...advice }, () => describe(advice, figures));
    });
}

function pricesOf({ priceReads, priceWrites, priceRedisGb, priceConnector }: Options): Prices {
  const own = [priceReads, priceWrites, priceRedisGb, priceConnector].some((price) => price !== undefined);
  return {
    ...PRICES,
    ...(own && { asOf: `your prices, else ${PRICES.asOf}` }),
    readsPer100k: priceReads ?? PRICES.readsPer100k,
    writesPer100k: priceWrites ?? PRICES.writesPer100k,
    basicPerGb: priceRedisGb ?? PRICES.basicPerGb,
    standardPerGb: priceRedisGb ?? PRICES.standardPerGb,
    connector: priceConnector ?? PRICES.connector,
  };
}

function writeSvg(file: string, advice: Advice, figures: Figures): void {
  const { providers, readsPerDay, callsPerDay = readsPerDay } = figures;
  if (providers === undefined || readsPerDay === undefined || callsPerDay === undefined)
    throw new UsageError("--svg: the costs need --reads-per-day, and --providers or --sample");
  try {
    writeFileSync(file, costsSvg(advice, { ...figures, providers, readsPerDay, callsPerDay }));
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

function describe(advice: Advice, figures: Figures): string {
  const { indicators, recommendation, reason, instance, prices } = advice;
  const indicatorRows = indicators.map(({ name, value, threshold, reached, weight }) => [
    name,
    value === undefined ? "not told" : String(Math.round(100 * value) / 100),
    String(threshold),
    reached === undefined ? "" : reached ? `reached (${weight})` : "not reached",
  ]);
  const parts = [
    table([["Indicator", "Yours", "Guide's", ""], ...indicatorRows]),
    `Recommendation: ${recommendation}. ${reason}`,
    ...(instance ? [describeInstances(instance, prices)] : []),
    describeCosts(advice, figures),
  ];
  return parts.join("\n\n");
}

function describeCosts(advice: Advice, figures: Figures): string {
  const { providers, readsPerDay, callsPerDay = readsPerDay, ttlSeconds, syncsPerDay } = figures;
  const { costs, prices } = advice;
  if (readsPerDay === undefined || callsPerDay === undefined) return "The costs need --reads-per-day.";
  const costRows = costs.map((each) => [
    each.option,
    ...[each.reads, each.writes, each.redis, each.connector, each.total].map(dollars),
  ]);
  return [
    table([["Dollars a month", "reads", "writes", "Redis", "connector", "total"], ...costRows]),
    "",
    barChart(costs.map(({ option, total }) => ({ label: option, value: total }))),
    "",
    ...(providers === undefined
      ? ["The costs with Redis need --providers, or --sample."]
      : compare(advice, { providers, readsPerDay, callsPerDay, ttlSeconds })),
    ...(figures.firestoreCost === undefined
      ? ["Firestore dollars a month, above, is what staying costs; --firestore-cost takes your bill."]
      : []),
    `Assumed: ${readsPerDay} reads and ${callsPerDay} calls a day; quotas kept ${ttlSeconds} s; ${syncsPerDay} syncs a day; ` +
      `${dollars(prices.readsPer100k)} and ${dollars(prices.writesPer100k)} for 100,000 reads and writes beyond ` +
      `${prices.freeReadsPerDay} and ${prices.freeWritesPerDay} free a day; functions and traffic left out.`,
    `Prices: ${prices.asOf}.`,
  ].join("\n");
}

type Load = Pick<Workload, "providers" | "readsPerDay" | "callsPerDay" | "ttlSeconds">;

/** Redis beside staying. */
function compare({ readsSavedShare = 0, breakEvenFactor }: Advice, load: Load): string[] {
  const { readsPerDay, callsPerDay } = load;
  return [
    `redis-primary reads ${Math.abs(100 * readsSavedShare).toFixed(0)} % ${readsSavedShare < 0 ? "more" : "fewer"} documents than staying does.`,
    ...adviseTtl(load),
    breakEvenFactor === undefined
      ? "At no load is redis-primary as cheap as staying."
      : `Break-even: redis-primary is as cheap as staying at ${breakEvenFactor.toFixed(1)} times this load, ` +
        `${Math.round(readsPerDay * breakEvenFactor)} reads and ${Math.round(callsPerDay * breakEvenFactor)} calls a day.`,
  ];
}

/** Where a quota has mostly expired before it is asked for again, Redis saves little. */
function adviseTtl({ providers, readsPerDay, ttlSeconds }: Load): string[] {
  const intervalSeconds = Math.round((providers * 86_400) / Math.max(1, readsPerDay));
  if (intervalSeconds < ttlSeconds / 2) return [];
  return [
    `A provider is checked every ${intervalSeconds} s on average, and its quota kept for ${ttlSeconds} s: ` +
      "a longer QUOTA_TTL_SECONDS saves more, as the mirror keeps what is kept up to date. Try --ttl-seconds 86400.",
  ];
}

/** The guide's table, with the instance that fits. */
function describeInstances(instance: Instance, prices: Prices): string {
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
