import { advise, costOf, instanceFor, type Workload } from "../../functions/src/cli/advice";
import { runCommand } from "../harness/run-cli.ts";

const SMALL: Workload = {
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
  expect(costOf("stay", workload, factor).total).toBeCloseTo(
    costOf("redis-primary", workload, factor).total,
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
  expect(output).toContain("Memorystore: basic, 1 GB, about $35.00 a month.");
  expect(output).toMatch(/redis-primary +█+ +\$\d+\.\d\d/);
  expect(output).toContain("list prices of 2025");
  expect((await runCommand(["advise", "--p95-ms", "fast"])).exitCode).toBe(2);
});

test("policies are validated and explained", async () => {
  const environment = {
    RATE_LIMIT_POLICIES:
      '[{"name":"ai-chat","by":"uid","limits":[{"algorithm":"sliding-window","limit":10,"window":"1 m"}]}]',
  };
  expect(await runCommand(["policies", "explain"], { environment })).toMatchObject({
    exitCode: 0,
    output: "ai-chat  each uid: 10 per 60 s (sliding-window); without Redis: local\n",
  });
  const bad = await runCommand(["policies", "validate"], {
    environment: { RATE_LIMIT_POLICIES: '[{"name":1}]' },
  });
  expect(bad.exitCode).toBe(1);
  expect(bad.output).toContain("[0].name: got 1");
});
