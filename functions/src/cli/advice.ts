/** Prices in US dollars; those of Redis and the connector are a month's. */
export interface Prices {
  /** When they were published, or that they are the user's own. */
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
 * List prices as published in 2025: firebase.google.com/docs/firestore/pricing (a multi-region; the default database
 * alone has free reads and writes) and, for Memorystore, the migration guide.
 */
export const PRICES: Prices = {
  asOf: "list prices of 2025",
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
  readonly p95Ms: number;
  /** The Firestore bill, dollars a month. */
  readonly firestoreCost: number;
  readonly ttlSeconds: number;
  readonly syncsPerDay: number;
  /** Whether Redis is to have a replica. */
  readonly highAvailability: boolean;
}

/** One of the guide's indicators, beside what the app has. */
export interface Indicator {
  readonly name: string;
  readonly value: number;
  readonly threshold: number;
  readonly reached: boolean;
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
  readonly instance: {
    readonly tier: "basic" | "standard";
    readonly sizeGb: number;
    readonly perMonth: number;
  };
  readonly costs: readonly Cost[];
  /** The part of the billed reads that redis-primary does without; negative if it has more. */
  readonly readsSavedShare: number;
  /** How many times as many checks and calls make redis-primary as cheap as staying; undefined for never. */
  readonly breakEvenFactor: number | undefined;
  readonly prices: Prices;
}

/** What the guide's indicators, and the prices, say about a workload. */
export function advise(workload: Workload, prices: Prices = PRICES): Advice {
  const indicators = assess(workload);
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
  const costs = (["stay", "dual-write", "redis-primary"] as const).map((option) =>
    costOf(option, workload, { prices }),
  );
  const [stay, , primary] = costs;
  return {
    indicators,
    recommendation,
    reason,
    instance: instanceFor(workload, prices),
    costs,
    readsSavedShare: stay!.readsPerDay === 0 ? 0 : 1 - primary!.readsPerDay / stay!.readsPerDay,
    breakEvenFactor: breakEven(workload, prices),
    prices,
  };
}

function assess({ providers, readsPerDay, p95Ms, firestoreCost }: Workload): Indicator[] {
  const rows = [
    ["concurrent providers", providers, 500, providers >= 500, "recommended"],
    ["Firestore reads a day", readsPerDay, 50_000, readsPerDay >= 50_000, "critical"],
    ["check P95 (ms)", p95Ms, 200, p95Ms > 200, "critical"],
    ["Firestore dollars a month", firestoreCost, 50, firestoreCost > 50, "evaluate"],
  ] as const;
  return rows.map(([name, value, threshold, isReached, weight]) => ({
    name,
    value,
    threshold,
    reached: isReached,
    weight,
  }));
}

/** The guide's table: 1 GB for 1,000 providers and 2 GB for 5,000; beyond it, 1 GB for each 2,500. */
export function instanceFor(
  { providers, highAvailability }: Pick<Workload, "providers" | "highAvailability">,
  prices: Prices = PRICES,
): Advice["instance"] {
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
