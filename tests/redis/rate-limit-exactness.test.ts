import { setImmediate as nextTurn } from "node:timers/promises";

import fc from "fast-check";
import type { Redis } from "ioredis";

import type { Decision } from "../../functions/src/rate-limit/decision";
import type { Algorithm, SubjectLimits } from "../../functions/src/rate-limit/limit-algorithms";
import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { checkPolicies } from "../../functions/src/rate-limit/policy";
import type { RateLimitStore } from "../../functions/src/rate-limit/rate-limit-store";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { holdClock } from "../harness/held-clock.ts";
import { EPOCH_MS } from "../harness/rate-limit-case.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { connectRedis, testRedisPort, uniquePrefix } from "../harness/test-redis.ts";

let redis: Redis;
beforeAll(() => (redis = connectRedis()));
afterAll(() => redis.disconnect());

const ALGORITHMS: readonly Algorithm[] = ["fixed-window", "sliding-window", "token-bucket"];

interface Operation {
  readonly limits: SubjectLimits;
  readonly subject: string;
  readonly kind: "take" | "peek" | "refund" | "block" | "reset";
  readonly cost: number;
  /** Which process asks. */
  readonly by: number;
}

/** Limits of a policy; `other` is that of a subject with limits of its own. */
const someLimits = (least: number, most: number) =>
  fc.uniqueArray(
    fc.record({
      algorithm: fc.constantFrom(...ALGORITHMS),
      limit: fc.noBias(fc.integer({ min: 0, max: 12 })),
      windowMs: fc.constantFrom(1, 7, 1000, 60_000),
      burst: fc.integer({ min: 1, max: 30 }),
      other: fc.noBias(fc.integer({ min: 0, max: 30 })),
    }),
    {
      minLength: least,
      maxLength: most,
      selector: ({ algorithm, windowMs }) => `${algorithm} ${windowMs}`,
    },
  );

/**
 * What is asked for, turn by turn.
 *
 * @param most operations of a turn
 * @param changes the weight of resets and blocks, which have what follows allowed or refused
 */
const someTurns = (most: number, changes: number) =>
  fc.array(
    fc.record({
      waitMs: fc.constantFrom(0, 0, 1, 3, 400, 1000, 20_000, 61_000),
      operations: fc.array(
        fc.record({
          policy: fc.nat({ max: 1 }),
          subject: fc.oneof(
            { weight: 3, arbitrary: fc.constantFrom("a", "customer") },
            { weight: 1, arbitrary: fc.nat({ max: 60 }).map(String) },
          ),
          kind: fc.oneof<fc.WeightedArbitrary<Operation["kind"]>[]>(
            { weight: 70, arbitrary: fc.constant("take") },
            { weight: 10, arbitrary: fc.constant("peek") },
            { weight: 20, arbitrary: fc.constant("refund") },
            { weight: changes, arbitrary: fc.constantFrom("block", "reset") },
          ),
          cost: fc.constantFrom(1, 1, 1, 2, 3),
          by: fc.nat({ max: 1 }),
        }),
        { minLength: 1, maxLength: most },
      ),
    }),
    { minLength: 1, maxLength: 8 },
  );

/** What {@link someLimits} makes, also with other windows. */
type Numbers = readonly Readonly<
  Record<"limit" | "windowMs" | "burst" | "other", number> & { algorithm: Algorithm }
>[];

/** Policies with limits of their own for the subject "customer". */
function policiesOf(policies: readonly Numbers[]) {
  return checkPolicies(
    policies.map((numbers, i) => ({
      name: `p${i}`,
      by: "subject",
      limits: numbers.map(({ algorithm, limit, windowMs, burst }) =>
        algorithm === "token-bucket" ? { algorithm, limit, windowMs, burst } : { algorithm, limit, windowMs },
      ),
      overrides: [{ subject: "customer", limits: numbers.map(({ other }) => other) }],
    })),
  );
}

function perform(store: RateLimitStore, { limits, subject, kind, cost }: Operation, nowMs: number) {
  switch (kind) {
    case "take":
    case "peek":
      return store.take(limits, subject, { cost, peek: kind === "peek" });
    case "refund":
      return store.refund(limits, subject, cost);
    case "reset":
      return store.reset(limits, subject);
    case "block":
      return store.block(limits, subject, nowMs + 10 * cost);
  }
}

/**
 * In which order processes have decided what they were asked for in one turn, as docs/rate-limits.md says it: resets,
 * blocks and what a process sends alone at once; then, one process after the other, what is alike where the first of it
 * stood.
 */
class ExpectedOrder {
  /** How many entries each process last gathered. */
  private readonly lastGathered = new Map<number, number>();

  of(operations: readonly Operation[]): Operation[] {
    const atOnce: Operation[] = [];
    const alone = new Set<number>();
    const groups = new Map<number, Operation[][]>();
    for (const operation of operations) {
      const { limits, kind, cost, by } = operation;
      if (kind === "reset" || kind === "block") atOnce.push(operation);
      else if ((this.lastGathered.get(by) ?? 1) === 1 && !alone.has(by)) {
        atOnce.push(operation);
        alone.add(by);
      } else {
        const those = groups.get(by) ?? [];
        groups.set(by, those);
        const alike = those.find(
          ([first]) => first!.limits === limits && first!.kind === kind && first!.cost === cost,
        );
        if (alike === undefined) those.push([operation]);
        else alike.push(operation);
      }
    }
    for (const [by, those] of groups) {
      const entries = those.map((alike) => new Set(alike.map(({ subject }) => subject)).size);
      this.lastGathered.set(
        by,
        entries.reduce((sum, size) => sum + size),
      );
    }
    return [...atOnce, ...[...groups.values()].flat(2)];
  }
}

test("random sequences one after the other: the Lua and the pure functions give the same answers", async () => {
  await fc.assert(
    fc.asyncProperty(someLimits(1, 3), someTurns(12, 30), async (numbers, turns) => {
      let now = EPOCH_MS;
      const clock = () => now;
      const [policy] = policiesOf([numbers]);
      const held = new RedisRateLimitStore(holdClock(redis, clock), new Keys(uniquePrefix()), clock);
      const reference = new LocalRateLimitStore(clock, "redis");
      for (const { waitMs, operations } of turns) {
        now += waitMs;
        for (const { subject, kind, cost, by } of operations) {
          const limits = policy!.overrides.get(subject) ?? policy!.limits;
          const operation = { limits, subject, kind, cost, by };
          expect(await perform(held, operation, now)).toEqual(await perform(reference, operation, now));
        }
      }
    }),
    { numRuns: 150 },
  );
}, 300_000);

test("millions and billions in weeks and months: the Lua and the pure functions give the same answers", async () => {
  const WEEKS: Readonly<Record<number, number>> = { 1: 1, 7: 4, 1000: 30 / 7, 60_000: 52 };
  const someCalls = fc.array(
    fc.record({
      waitMs: fc.constantFrom(0, 9, 401, 999_999, 60_000_000, 500_000_000, 2_600_000_000),
      kind: fc.constantFrom<("take" | "peek" | "refund")[]>("take", "take", "peek", "refund"),
      subject: fc.constantFrom("a", "customer"),
      cost: fc.constantFrom([0, 1], [1, 0], [1, 1], [2, 0], [3, -1]),
    }),
    { minLength: 1, maxLength: 30 },
  );
  const someMillions = fc.constantFrom(1_000_000, 5_000_000, 470_000_000);
  await fc.assert(
    fc.asyncProperty(someLimits(1, 3), someMillions, someCalls, async (numbers, millions, calls) => {
      let now = EPOCH_MS;
      const clock = () => now;
      const weeks = numbers.map(({ algorithm, limit, windowMs, burst, other }) => ({
        algorithm,
        limit: limit * millions,
        windowMs: WEEKS[windowMs]! * 7 * 86_400_000,
        burst: burst * millions,
        other: other * millions,
      }));
      const [policy] = policiesOf([weeks]);
      const held = new RedisRateLimitStore(holdClock(redis, clock), new Keys(uniquePrefix()), clock);
      const reference = new LocalRateLimitStore(clock, "redis");
      for (const { waitMs, subject, kind, cost } of calls) {
        now += waitMs;
        const limits = policy!.overrides.get(subject) ?? policy!.limits;
        const operation = { limits, subject, kind, cost: cost[0]! * millions + cost[1]!, by: 0 };
        expect(await perform(held, operation, now)).toEqual(await perform(reference, operation, now));
      }
    }),
    { numRuns: 150 },
  );
}, 300_000);

test("a clock that steps ahead and back: the Lua and the pure functions give the same answers, in the end those of a new subject", async () => {
  const someSteps = fc.array(
    fc.record({
      waitMs: fc.constantFrom(0, 1, 3, 400, 1000, 20_000, 61_000),
      aheadMs: fc.constantFrom(0, 0, 0, 2, 5, 500, 1500, 70_000, 3_600_000, 86_400_000),
      kind: fc.constantFrom<("take" | "peek")[]>("take", "take", "peek"),
      cost: fc.constantFrom(1, 2, 3),
    }),
    { minLength: 1, maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(someLimits(1, 3), someSteps, async (numbers, steps) => {
      let trueMs = EPOCH_MS;
      let now = EPOCH_MS;
      const clock = () => now;
      const { limits } = policiesOf([numbers])[0]!;
      let readings = 0;
      const held = new RedisRateLimitStore(
        holdClock(redis, clock),
        new Keys(uniquePrefix()),
        () => 1000 * readings++,
      );
      const reference = new LocalRateLimitStore(clock, "redis");
      const ask = async (kind: Operation["kind"], cost: number) => {
        const operation = { limits, subject: "a", kind, cost, by: 0 };
        const answer = await perform(held, operation, now);
        expect(answer).toEqual(await perform(reference, operation, now));
        return answer;
      };
      for (const { waitMs, aheadMs, kind, cost } of steps) {
        trueMs += waitMs;
        now = trueMs + aheadMs;
        await ask(kind, cost);
      }
      now += 10 * 366 * 86_400_000;
      await ask("take", 1);
      now = trueMs;
      const fresh = new LocalRateLimitStore(clock, "redis");
      const wasAllowed = (await fresh.take(limits, "a", { cost: 1, peek: true })).allowed;
      if (wasAllowed) expect(await ask("peek", 1)).toMatchObject({ allowed: true });
    }),
    { numRuns: 150 },
  );
}, 300_000);

test("random batches of two processes: each is answered as by the pure functions, one after the other in the order of the groups", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(someLimits(1, 1), someLimits(1, 3)),
      someTurns(200, 1),
      async (numbers, turns) => {
        let now = EPOCH_MS;
        const clock = () => now;
        const policies = policiesOf(numbers);
        const keys = new Keys(uniquePrefix());
        // Each time it is read a second has passed: no refusal is remembered, and Redis decides everything.
        let readings = 0;
        const processes = [0, 1].map(
          () => new RedisRateLimitStore(holdClock(redis, clock), keys, () => 1000 * readings++),
        );
        const reference = new LocalRateLimitStore(clock, "redis");
        const order = new ExpectedOrder();
        for (const { waitMs, operations } of turns) {
          now += waitMs;
          const asked = operations.map(({ policy, subject, ...more }): Operation => {
            const { limits, overrides } = policies[policy]!;
            return { limits: overrides.get(subject) ?? limits, subject, ...more };
          });
          const answers = await Promise.all(asked.map((each) => perform(processes[each.by]!, each, now)));
          const expected = new Map<Operation, unknown>();
          for (const each of order.of(asked)) expected.set(each, await perform(reference, each, now));
          expect(answers).toEqual(asked.map((each) => expected.get(each)));
        }
      },
    ),
    { numRuns: 150 },
  );
}, 300_000);

describe("of 60,000 requests at once over 3 connections and 20 subjects exactly the limit is allowed", () => {
  const LEAST = 2500;
  const limit = (algorithm: Algorithm, most: number) => ({ algorithm, limit: most, window: "366 d" });
  const policyOf = (...limits: ReturnType<typeof limit>[]) =>
    checkPolicies([{ name: "p", by: "subject", limits }])[0]!.limits;

  async function flood(limits: SubjectLimits, ask: (store: RedisRateLimitStore) => Promise<void>) {
    const connections = Array.from(
      { length: 3 },
      () =>
        new RedisConnection(
          { host: "127.0.0.1", port: testRedisPort(), timeoutMs: 20_000 },
          recordLogs().logs,
        ),
    );
    const keys = new Keys(uniquePrefix());
    const stores = connections.map((each) => new RedisRateLimitStore(each, keys));
    try {
      const asked: Promise<Decision>[] = [];
      while (asked.length < 60_000) {
        const i = asked.length;
        asked.push(stores[i % 3]!.take(limits, `s${i % 20}`, { cost: 1, peek: false }));
        // More are asked while these are under way.
        if (i % 1000 === 999) await nextTurn();
      }
      const decisions = await Promise.all(asked);
      for (let s = 0; s < 20; s++) {
        const allowed = decisions.filter((decision, i) => decision.allowed && i % 20 === s);
        expect(allowed.map(({ remaining }) => remaining).sort((x, y) => y - x)).toEqual(
          Array.from({ length: LEAST }, (_, i) => LEAST - 1 - i),
        );
      }
      await ask(stores[0]!);
    } finally {
      for (const each of connections) each.close();
    }
  }

  test.each(ALGORITHMS)(
    "%s",
    async (algorithm) => {
      await flood(policyOf(limit(algorithm, LEAST)), () => Promise.resolve());
    },
    300_000,
  );

  test.each<[Algorithm, Algorithm]>([
    ["fixed-window", "token-bucket"],
    ["sliding-window", "fixed-window"],
    ["token-bucket", "sliding-window"],
  ])(
    "%s, and a larger %s, which is charged no more",
    async (smaller, larger) => {
      await flood(policyOf(limit(smaller, LEAST), limit(larger, 4000)), async (store) => {
        // Counts go on under other limits: the smaller one raised, the larger shows what it was charged.
        const raised = policyOf(limit(smaller, 10_000), limit(larger, 4000));
        for (let s = 0; s < 20; s++)
          expect(await store.take(raised, `s${s}`, { cost: 1, peek: true })).toMatchObject({
            limit: 4000,
            remaining: 4000 - LEAST,
          });
      });
    },
    300_000,
  );
});
