import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import {
  advise,
  costOf,
  instanceFor,
  PRICES,
  type Advice,
  type Figures,
  type Workload,
} from "../../functions/src/cli/advice";
import { runCommand } from "../harness/run-cli.ts";

const SMALL: Figures & Workload = {
  providers: 100,
  readsPerDay: 10_000,
  callsPerDay: 10_000,
  p95Ms: 80,
  firestoreCost: 5,
  ttlSeconds: 300,
  syncsPerDay: 288,
  highAvailability: false,
};

test("recommends by the guide's indicators", () => {
  expect(advise(SMALL).recommendation).toBe("stay");
  expect(advise({ ...SMALL, providers: 500 }).recommendation).toBe("dual-write");
  expect(advise({ ...SMALL, readsPerDay: 50_000 }).recommendation).toBe("dual-write");
  expect(advise({ ...SMALL, firestoreCost: 51 }).recommendation).toBe("dual-write");
  expect(advise({ ...SMALL, p95Ms: 201 }).recommendation).toBe("redis-primary");
  expect(advise({ ...SMALL, p95Ms: 200, firestoreCost: 50 }).recommendation).toBe("stay");
});

test("what is not told is neither reached nor not, and is named beside a recommendation that it could change", () => {
  const { providers, ttlSeconds, syncsPerDay, highAvailability } = SMALL;
  const few = { providers, ttlSeconds, syncsPerDay, highAvailability };
  const advice = advise(few);
  expect(advice.indicators.map(({ value, reached }) => [value, reached])).toEqual([
    [100, false],
    [undefined, undefined],
    [undefined, undefined],
    [undefined, undefined],
  ]);
  expect(advice).toMatchObject({
    recommendation: "stay",
    reason:
      "No indicator is reached. Not told: Firestore reads a day, check P95 (ms), Firestore dollars a month.",
    costs: [],
    readsSavedShare: undefined,
    breakEvenFactor: undefined,
  });
  expect(advise({ ...few, providers: 500 })).toMatchObject({
    recommendation: "dual-write",
    reason: expect.stringContaining("Not told: Firestore reads a day, check P95 (ms)") as unknown,
  });
  expect(advise({ ...few, p95Ms: 201 }).reason).not.toContain("Not told");
  expect(advise(SMALL).reason).toBe("No indicator is reached.");
});

test("the dollars are the bill, or else what staying costs", () => {
  const { firestoreCost, providers, ...unbilled } = SMALL;
  const dollars = (figures: Figures) => advise(figures).indicators[3];
  expect(dollars(SMALL)).toMatchObject({ value: firestoreCost, reached: false });
  expect(dollars({ ...unbilled, providers })).toMatchObject({ value: 0, reached: false });
  const million = { ...unbilled, readsPerDay: 1_000_000, callsPerDay: 1_000_000 };
  const advice = advise(million);
  expect(advice.costs.map(({ option }) => option)).toEqual(["stay"]);
  expect(advice.instance).toBeUndefined();
  expect(dollars(million)!.value).toBeCloseTo(70.02, 6);
  expect(dollars(million)!.reached).toBe(true);
  expect(dollars({ ...million, firestoreCost: 50 })).toMatchObject({ value: 50, reached: false });
});

test.each([
  [1000, false, { tier: "basic", sizeGb: 1, perMonth: 35 }],
  [1001, false, { tier: "basic", sizeGb: 2, perMonth: 70 }],
  [5000, false, { tier: "basic", sizeGb: 2, perMonth: 70 }],
  [1000, true, { tier: "standard", sizeGb: 1, perMonth: 70 }],
  [12_000, false, { tier: "basic", sizeGb: 5, perMonth: 175 }],
])("sizes Memorystore for %d providers as the guide's table", (providers, highAvailability, instance) => {
  expect(instanceFor({ providers, highAvailability })).toEqual(instance);
});

test("costs are what is billed beyond the free quota", () => {
  const million = { ...SMALL, readsPerDay: 1_000_000, callsPerDay: 1_000_000 };
  // (1,000,000 - 50,000) reads and (1,000,000 - 20,000) writes, 30 days.
  const stay = costOf("stay", million);
  expect(stay.reads).toBeCloseTo(17.1, 6);
  expect(stay.writes).toBeCloseTo(52.92, 6);
  expect(stay.total).toBeCloseTo(70.02, 6);
  // 100 providers refill 32,000 times, and 288 syncs compare 28,800 entries: 10,800 reads are billed. 28,800 flushes: 8,800.
  const primary = costOf("redis-primary", million);
  expect(primary.reads).toBeCloseTo(0.1944, 6);
  expect(primary.writes).toBeCloseTo(0.4752, 6);
  expect(primary.total).toBeCloseTo(48.6696, 6);
  expect(costOf("dual-write", million).writes).toBe(stay.writes);
  expect(costOf("stay", SMALL).total).toBe(0);
});

test("the break-even point is where both cost the same", () => {
  const workload = { ...SMALL, readsPerDay: 100_000, callsPerDay: 100_000 };
  const factor = advise(workload).breakEvenFactor!;
  expect(factor).toBeGreaterThan(1);
  expect(costOf("stay", workload, { scale: factor }).total).toBeCloseTo(
    costOf("redis-primary", workload, { scale: factor }).total,
    3,
  );
  expect(advise({ ...SMALL, readsPerDay: 0, callsPerDay: 0 }).breakEvenFactor).toBeUndefined();
});

test("the command shows indicators, costs and a chart, and needs no settings", async () => {
  const figures = ["--providers", "800", "--reads-per-day", "120000", "--p95-ms", "240"];
  const { exitCode, output } = await runCommand(["advise", ...figures, "--firestore-cost", "60"]);
  expect(exitCode).toBe(0);
  expect(output).toMatch(/check P95 \(ms\) +240 +200 +reached \(critical\)/);
  expect(output).toContain("Recommendation: redis-primary.");
  expect(output).toContain("A provider is checked every 576 s on average, and its quota kept for 300 s");
  const longer = await runCommand(["advise", ...figures, "--ttl-seconds", "86400"]);
  expect(longer.output).toContain("redis-primary reads 75 % fewer documents");
  expect(longer.output).not.toContain("is checked every");
  expect(output).toMatch(/basic +1 GB +\$35\.00 +1000 providers +<- yours\n/);
  expect(output).toMatch(/standard +1 GB +\$70\.00 +1000 providers, with a replica\n/);
  expect(output).toMatch(/redis-primary +█+ +\$\d+\.\d\d/);
  expect(output).toMatch(/Firestore dollars a month +60 +50 +reached \(evaluate\)/);
  expect(output).toContain(`Prices: ${PRICES.asOf}.`);
  expect((await runCommand(["advise", "--p95-ms", "fast"])).exitCode).toBe(2);
});

test("the command shows what it was not told, and does not advise without a figure", async () => {
  for (const args of [[], ["--ha"], ["--calls-per-day", "5000"]]) {
    expect(await runCommand(["advise", ...args])).toEqual({
      exitCode: 2,
      output: "",
      errors:
        "advise: no figure given; expected one or more of --providers, --reads-per-day, --p95-ms and " +
        "--firestore-cost, or --sample\n",
    });
  }
  const slow = await runCommand(["advise", "--p95-ms", "240"]);
  expect(slow.exitCode).toBe(0);
  expect(slow.output).toMatch(/concurrent providers +not told +500\n/);
  expect(slow.output).toMatch(/Firestore dollars a month +not told +50\n/);
  expect(slow.output).toContain("The costs need --reads-per-day.");
  expect(slow.output).not.toContain("Memorystore");
  const many = await runCommand(["advise", "--reads-per-day", "1000000"]);
  expect(many.output).toMatch(/Firestore dollars a month +70\.02 +50 +reached \(evaluate\)/);
  expect(many.output).toMatch(/stay +\$17\.10 +\$52\.92 +\$0\.00 +\$0\.00 +\$70\.02\n/);
  expect(many.output).toContain("The costs with Redis need --providers, or --sample.");
  expect(many.output).not.toContain("dual-write  ");
});

test("prices of one's own take the place of the list's", async () => {
  const figures = ["--providers", "20000", "--reads-per-day", "10000000", "--calls-per-day", "0"];
  const own = ["--price-reads", "0.03", "--price-redis-gb", "20", "--price-connector", "0"];
  const { output } = await runCommand(["--json", "advise", ...figures, ...own]);
  const { costs, instance, prices, readsSavedShare } = JSON.parse(output) as Advice;
  // (10,000,000 - 50,000) reads, 30 days, at 3 cents for 100,000.
  expect(costs[0]!.total).toBeCloseTo(89.55, 6);
  expect(costs[2]).toMatchObject({ redis: 160, connector: 0 });
  expect(instance).toEqual({ tier: "basic", sizeGb: 8, perMonth: 160 });
  expect(prices).toMatchObject({ readsPer100k: 0.03, writesPer100k: 0.18 });
  // 20,000 providers refill every 270 s, and 288 syncs compare 100 entries each.
  expect(readsSavedShare).toBeCloseTo(1 - (6_400_000 + 28_800) / 10_000_000, 6);
  const text = await runCommand(["advise", ...figures, ...own]);
  expect(text.output).toContain("redis-primary reads 36 % fewer documents");
  expect(text.output).toMatch(/basic +8 GB +\$160\.00 +beyond the guide's table +<- yours/);
  expect(text.output).toContain(`Prices: your prices, else ${PRICES.asOf}.`);
});

test("the picture has the costs side by side, and where they meet as the load grows", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "advise-"));
  try {
    const file = path.join(folder, "costs.svg");
    const figures = ["--providers", "800", "--reads-per-day", "120000"];
    expect((await runCommand(["advise", ...figures, "--svg", file])).exitCode).toBe(0);
    const svg = readFileSync(file, "utf8");
    expect(svg.match(/<polyline/g)).toHaveLength(3);
    expect(svg).toMatch(/break-even: \d+\.\d times</);
    expect(svg).not.toMatch(/NaN|Infinity/);
    const nowhere = path.join(folder, "none", "costs.svg");
    const elsewhere = await runCommand(["advise", ...figures, "--svg", nowhere]);
    expect(elsewhere).toMatchObject({
      exitCode: 2,
      errors: expect.stringMatching(/^--svg: ENOENT/) as string,
    });
    expect(await runCommand(["advise", "--providers", "800", "--svg", file])).toMatchObject({
      exitCode: 2,
      errors: "--svg: the costs need --reads-per-day, and --providers or --sample\n",
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
