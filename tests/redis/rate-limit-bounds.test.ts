import type { Redis } from "ioredis";

import { checkPolicies } from "../../functions/src/rate-limit/policy";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { Keys } from "../../functions/src/redis/keys";
import { EPOCH_MS } from "../harness/rate-limit-case.ts";
import { holdClock } from "../harness/held-clock.ts";
import { connectRedis, uniquePrefix } from "../harness/test-redis.ts";

let redis: Redis;
beforeAll(() => (redis = connectRedis()));
afterAll(() => redis.disconnect());

const REQUEST = { cost: 1, peek: false };

/** A store, and of how many subjects each script was told that it has run; its arguments begin with that number. */
function recording() {
  const clock = () => EPOCH_MS;
  const held = holdClock(redis, clock);
  const subjectsTold: number[] = [];
  const recorded: typeof held = {
    ...held,
    runFor: (key, command) =>
      held.runFor(key, (client) =>
        command(
          new Proxy(client, {
            get: (target, name) => (sha1: string, call: (string | number)[]) => {
              if (name === "evalshaBuffer") subjectsTold.push(Number(call[1 + Number(call[0])]));
              return (Reflect.get(target, name) as (...args: unknown[]) => unknown)(sha1, call);
            },
          }),
        ),
      ),
  };
  return { store: new RedisRateLimitStore(recorded, new Keys(uniquePrefix()), clock), subjectsTold };
}

function limitsOf(limit: number) {
  return checkPolicies([
    { name: "p", by: "subject", limits: [{ algorithm: "fixed-window", limit, window: "1 d" }] },
  ])[0]!.limits;
}

test("however many subjects are asked for at once, a script is told of 128 at most", async () => {
  const { store, subjectsTold } = recording();
  const limits = limitsOf(1);
  const subjects = Array.from({ length: 5000 }, (_, i) => `s${i}`);
  const decisions = await Promise.all(subjects.map((subject) => store.take(limits, subject, REQUEST)));
  expect(decisions.every(({ allowed }) => allowed)).toBe(true);
  expect(subjectsTold.reduce((sum, each) => sum + each)).toBe(5000);
  expect(Math.max(...subjectsTold)).toBeLessThanOrEqual(128);
  // As few scripts as that takes; the first request was alone.
  expect(subjectsTold).toHaveLength(1 + Math.ceil(4999 / 128));
});

test("of one subject asked for any number of times a script is told once, and each has an answer of its own, in order", async () => {
  const { store, subjectsTold } = recording();
  const limits = limitsOf(3000);
  const decisions = await Promise.all(
    Array.from({ length: 5000 }, () => store.take(limits, "alice", REQUEST)),
  );
  // The first request was alone.
  expect(subjectsTold).toEqual([1, 1]);
  expect(decisions.map(({ allowed, remaining }) => [allowed, remaining])).toEqual(
    Array.from({ length: 5000 }, (_, i) => (i < 3000 ? [true, 2999 - i] : [false, 0])),
  );
});

test("10,000 refused subjects are remembered: with one more, who was seen least recently is asked for again", async () => {
  const { store, subjectsTold } = recording();
  const limits = limitsOf(0);
  /** Asks for subjects, and tells how many of them Redis was asked for. */
  const ask = async (...subjects: number[]) => {
    const before = subjectsTold.length;
    const decisions = await Promise.all(subjects.map((i) => store.take(limits, `s${i}`, REQUEST)));
    expect(decisions.some(({ allowed }) => allowed)).toBe(false);
    return subjectsTold.slice(before).reduce((sum, each) => sum + each, 0);
  };
  const all = Array.from({ length: 10_000 }, (_, i) => i);
  expect(await ask(...all)).toBe(10_000);
  expect(await ask(...all)).toBe(0);
  expect(await ask(10_000)).toBe(1);
  expect(await ask(1)).toBe(0);
  expect(await ask(0)).toBe(1);
});
