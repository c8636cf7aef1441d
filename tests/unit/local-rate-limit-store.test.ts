import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { checkPolicies } from "../../functions/src/rate-limit/policy";
import { RATE_LIMIT_CASES } from "../cases/rate-limits.ts";
import { expectCase } from "../harness/rate-limit-case.ts";

const REQUEST = { cost: 1, peek: false };
const limitsOf = (limit: object) => checkPolicies([{ name: "p", by: "uid", limits: [limit] }])[0]!.limits;
const ONE_A_SECOND = limitsOf({ algorithm: "fixed-window", limit: 1, window: "1 s" });

test.each(RATE_LIMIT_CASES)("$name", async (each) => {
  let now = 0;
  await expectCase(each, new LocalRateLimitStore(() => now), (nowMs) => (now = nowMs));
});

test("subjects are apart", async () => {
  const store = new LocalRateLimitStore(() => 0);
  expect((await store.take(ONE_A_SECOND, "alice", REQUEST)).allowed).toBe(true);
  expect((await store.take(ONE_A_SECOND, "bob", REQUEST)).allowed).toBe(true);
  expect((await store.take(ONE_A_SECOND, "alice", REQUEST)).allowed).toBe(false);
});

test("a block holds until its time, and a reset ends it", async () => {
  let now = 0;
  const store = new LocalRateLimitStore(() => now);
  await store.block(ONE_A_SECOND, "alice", 5000);
  expect(await store.take(ONE_A_SECOND, "alice", REQUEST)).toEqual({
    allowed: false,
    limit: 1,
    windowMs: 1000,
    remaining: 0,
    retryAfterMs: 5000,
    resetAtMs: 5000,
    resetAfterMs: 5000,
    reason: "blocked",
    source: "local",
  });
  now = 5000;
  expect((await store.take(ONE_A_SECOND, "alice", REQUEST)).allowed).toBe(true);
  await store.block(ONE_A_SECOND, "alice", 9000);
  await store.reset(ONE_A_SECOND, "alice");
  expect((await store.take(ONE_A_SECOND, "alice", REQUEST)).allowed).toBe(true);
});

test("50,000 subjects are remembered: with one more, who was seen least recently starts anew", async () => {
  const store = new LocalRateLimitStore(() => 0);
  const isAllowed = async (i: number) => (await store.take(ONE_A_SECOND, `s${i}`, REQUEST)).allowed;
  for (let i = 0; i < 50_000; i++) await isAllowed(i);
  expect(await isAllowed(0)).toBe(false);
  expect(await isAllowed(50_000)).toBe(true);
  expect(await isAllowed(0)).toBe(false);
  expect(await isAllowed(2)).toBe(false);
  expect(await isAllowed(1)).toBe(true);
});
