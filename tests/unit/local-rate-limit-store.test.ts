import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import type { Policy } from "../../functions/src/rate-limit/policy";
import { FIXED_WINDOW_CASES } from "../cases/fixed-window.ts";

const policyOf = (...limits: [limit: number, windowMs: number][]): Policy => ({
  name: "p",
  by: "uid",
  onRedisFailure: "local",
  limits: limits.map(([limit, windowMs]) => ({ algorithm: "fixed-window", limit, windowMs })),
});
const request = { subject: "alice", cost: 1, peek: false };

test.each(FIXED_WINDOW_CASES)("$name", async ({ before, limit, windowMs, cost, peek = false, ...after }) => {
  const expected = { allowed: after.allowed, count: after.count, endsInMs: after.endsInMs };
  let now = 1_000_000;
  const store = new LocalRateLimitStore(() => now);
  const policy = policyOf([limit, windowMs]);
  if (before) {
    await store.take(policy, { ...request, cost: before.count });
    now += windowMs - before.endsInMs;
  }
  const { allowed, nowMs, windows } = await store.take(policy, { ...request, cost, peek });
  expect({ allowed, count: windows[0]?.count, endsInMs: windows[0]!.endsAtMs - nowMs }).toEqual(expected);
  const later = await store.take(policy, { ...request, cost: 0, peek: true });
  expect(later.windows[0]?.count).toBe(expected.count);
});

test("a window that has ended counts no more", async () => {
  let now = 0;
  const store = new LocalRateLimitStore(() => now);
  const policy = policyOf([1, 1000]);
  expect((await store.take(policy, request)).allowed).toBe(true);
  now = 999;
  expect((await store.take(policy, request)).allowed).toBe(false);
  now = 1000;
  expect((await store.take(policy, request)).allowed).toBe(true);
});

test("several limits are taken all or none", async () => {
  let now = 0;
  const store = new LocalRateLimitStore(() => now);
  const policy = policyOf([1, 1000], [2, 10_000]);
  expect((await store.take(policy, request)).allowed).toBe(true);
  expect((await store.take(policy, request)).windows.map(({ count }) => count)).toEqual([1, 1]);
  now = 1000;
  expect((await store.take(policy, request)).windows.map(({ count }) => count)).toEqual([1, 2]);
  now = 2000;
  expect(await store.take(policy, request)).toMatchObject({
    allowed: false,
    windows: [{ count: 0 }, { count: 2 }],
  });
});

test("subjects are apart", async () => {
  const store = new LocalRateLimitStore();
  const policy = policyOf([1, 1000]);
  await store.take(policy, request);
  expect((await store.take(policy, { ...request, subject: "bob" })).allowed).toBe(true);
});
