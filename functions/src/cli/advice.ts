/** Prices in US dollars; those of Redis and the connector are a month's. */
export interface Prices {
  /** Whose they are and of when, as far as that is known. */
  readonly asOf: string;
  readonly readsPer100k: number;
  readonly writesPer100k: number;
  readonly freeReadsPerDay: number;
  readonly freeWritesPerDay: number;
  readonly basicPerGb: number;
  readonly standardPerGb: number;
  readonly connector: number;
}

/**
 * Firestore's are list prices as published in 2025, of which the month was not noted: firebase.google.com/docs/firestore/pricing
 * (a multi-region; the default database alone has free reads and writes). Memorystore's are the migration guide's, which
 * has no date.
 */
export const PRICES: Prices = {
  asOf: "Firestore's multi-region list prices of 2025, Memorystore's of the migration guide, which has no date",
  readsPer100k: 0.06,
  writesPer100k: 0.18,
  freeReadsPerDay: 50_000,
  freeWritesPerDay: 20_000,
  basicPerGb: 35,
  standardPerGb: 70,
  /** Two e2-micro instances, which a connector has at least. */
  connector: 13,
};

/** The migration guide's table of instances, as far as it goes. */
export const INSTANCES = [
  { tier: "basic", sizeGb: 1, providers: 1000 },
  { tier: "basic", sizeGb: 2, providers: 5000 },
  { tier: "standard", sizeGb: 1, providers: 1000 },
] as const;

const DAYS = 30;

/** What an app does and has. `callsPerDay` are consumptions: each is a read and a write where Firestore decides. */
export interface Workload {
  readonly providers: number;
  readonly readsPerDay: number;
  readonly callsPerDay: number;
  readonly ttlSeconds: number;
  readonly syncsPerDay: number;
  /** Whether Redis is to have a replica. */
  readonly highAvailability: boolean;
}

/** What is told of an app; what is undefined is not known. */
export interface Figures extends Omit<Workload, "providers" | "readsPerDay" | "callsPerDay"> {
  readonly providers?: number | undefined;
  readonly readsPerDay?: number | undefined;
  /** As many as reads if undefined. */
  readonly callsPerDay?: number | undefined;
  readonly p95Ms?: number | undefined;
  /** The Firestore bill, dollars a month; what staying costs if undefined. */
  readonly firestoreCost?: number | undefined;
}

/** One of the guide's indicators, beside what the app has. */
export interface Indicator {
  readonly name: string;
  /** Undefined if it was not told; then `reached` is, too. */
  readonly value: number | undefined;
  readonly threshold: number;
  readonly reached: boolean | undefined;
  readonly weight: "recommended" | "critical" | "evaluate";
}

export type Option = "stay" | "dual-write" | "redis-primary";

/** What an option costs, in dollars a month. */
export interface Cost {
  readonly option: Option;
  /** Documents read in a day. */
  readonly readsPerDay: number;
  readonly reads: number;
  readonly writes: number;
  readonly redis: number;
  readonly connector: number;
  readonly total: number;
}

export interface Advice {
  readonly indicators: readonly Indicator[];
  readonly recommendation: Option;
  readonly reason: string;
  /** Undefined if the number of providers was not told. */
  readonly instance: Instance | undefined;
  /** Of what can be computed: of nothing without the reads a day, of staying alone without the number of providers. */
  readonly costs: readonly Cost[];
  /** The part of the billed reads that redis-primary does without; negative if it has more. Undefined without its costs. */
  readonly readsSavedShare: number | undefined;
  /** How many times as many checks and calls make redis-primary as cheap as staying; undefined for never. */
  readonly breakEvenFactor: number | undefined;
  readonly prices: Prices;
}

/** A size of Memorystore; dollars a month. */
export interface Instance {
  readonly tier: "basic" | "standard";
  readonly sizeGb: number;
  readonly perMonth: number;
}

/** What the guide's indicators, and the prices, say about an app. */
export function advise(figures: Figures, prices: Prices = PRICES): Advice {
  const { providers, readsPerDay, callsPerDay = readsPerDay, ...rest } = figures;
  const isKnown = readsPerDay !== undefined && callsPerDay !== undefined;
  // What staying costs does not depend on the number of providers.
  const workload = isKnown ? { ...rest, providers: providers ?? 0, readsPerDay, callsPerDay } : undefined;
  const options: Option[] = providers === undefined ? ["stay"] : ["stay", "dual-write", "redis-primary"];
  const costs = workload ? options.map((option) => costOf(option, workload, { prices })) : [];
  const [stay, , primary] = costs;
  const indicators = assess(figures, stay?.total);
  return {
    indicators,
    ...recommend(indicators),
    instance: providers === undefined ? undefined : instanceFor({ ...rest, providers }, prices),
    costs,
    readsSavedShare:
      stay && primary && (stay.readsPerDay === 0 ? 0 : 1 - primary.readsPerDay / stay.readsPerDay),
    breakEvenFactor: workload && primary && breakEven(workload, prices),
    prices,
  };
}

function recommend(indicators: readonly Indicator[]): Pick<Advice, "recommendation" | "reason"> {
  const reached = (name: string) => indicators.some((each) => each.name === name && each.reached);
  const slow = reached("check P95 (ms)");
  const many = reached("Firestore reads a day");
  const any = indicators.some((each) => each.reached);
  const recommendation = slow ? "redis-primary" : any ? "dual-write" : "stay";
  const reason = slow
    ? "Calls are slow, and only Redis deciding makes them faster; go through dual-write first."
    : many
      ? "Checks are many; Redis answers them, and Firestore goes on deciding calls."
      : any
        ? "An indicator is reached; dual-write is the safe first step."
        : "No indicator is reached.";
  const unknown = indicators.filter(({ value }) => value === undefined).map(({ name }) => name);
  const isOpen = !slow && unknown.length > 0;
  return { recommendation, reason: isOpen ? `${reason} Not told: ${unknown.join(", ")}.` : reason };
}

function assess(
  { providers, readsPerDay, p95Ms, firestoreCost }: Figures,
  stayCost: number | undefined,
): Indicator[] {
  const dollars = firestoreCost ?? stayCost;
  const rows = [
    ["concurrent providers", providers, 500, (value: number) => value >= 500, "recommended"],
    ["Firestore reads a day", readsPerDay, 50_000, (value: number) => value >= 50_000, "critical"],
    ["check P95 (ms)", p95Ms, 200, (value: number) => value > 200, "critical"],
    ["Firestore dollars a month", dollars, 50, (value: number) => value > 50, "evaluate"],
  ] as const;
  return rows.map(([name, value, threshold, isReached, weight]) => ({
    name,
    value,
    threshold,
    reached: value === undefined ? undefined : isReached(value),
    weight,
  }));
}

/** The guide's table: 1 GB for 1,000 providers and 2 GB for 5,000; beyond it, 1 GB for each 2,500. */
export function instanceFor(
  { providers, highAvailability }: Pick<Workload, "providers" | "highAvailability">,
  prices: Prices = PRICES,
): Instance {
  const sizeGb = providers <= 1000 ? 1 : Math.max(2, Math.ceil(providers / 2500));
  const tier = highAvailability ? "standard" : "basic";
  const perGb = highAvailability ? prices.standardPerGb : prices.basicPerGb;
  return { tier, sizeGb, perMonth: sizeGb * perGb };
}

/** What an option costs in a month; `scale` multiplies checks and calls. */
export function costOf(
  option: Option,
  workload: Workload,
  { scale = 1, prices = PRICES }: { readonly scale?: number; readonly prices?: Prices } = {},
): Cost {
  const checks = workload.readsPerDay * scale;
  const calls = workload.callsPerDay * scale;
  // A quota is read again when its entry has expired, and a sync compares 100.
  const refills = Math.min(checks, (workload.providers * 86_400) / (0.9 * workload.ttlSeconds));
  const flushes = Math.min(calls, workload.providers * workload.syncsPerDay);
  const perDay = {
    stay: { reads: checks, writes: calls },
    "dual-write": { reads: refills + calls + 100 * workload.syncsPerDay, writes: calls },
    "redis-primary": { reads: refills + 100 * workload.syncsPerDay, writes: flushes },
  }[option];
  const reads = (Math.max(0, perDay.reads - prices.freeReadsPerDay) * DAYS * prices.readsPer100k) / 100_000;
  const writes =
    (Math.max(0, perDay.writes - prices.freeWritesPerDay) * DAYS * prices.writesPer100k) / 100_000;
  const redis = option === "stay" ? 0 : instanceFor(workload, prices).perMonth;
  const connector = option === "stay" ? 0 : prices.connector;
  return {
    option,
    readsPerDay: perDay.reads,
    reads,
    writes,
    redis,
    connector,
    total: reads + writes + redis + connector,
  };
}

function breakEven(workload: Workload, prices: Prices): number | undefined {
  const saves = (scale: number) =>
    costOf("stay", workload, { scale, prices }).total >=
    costOf("redis-primary", workload, { scale, prices }).total;
  let high = 1e-3;
  while (!saves(high)) {
    high *= 2;
    if (high > 1e6) return undefined;
  }
  let low = high / 2;
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (saves(middle)) high = middle;
    else low = middle;
  }
  return high;
}
