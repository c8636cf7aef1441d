import { checkPolicies } from "../../functions/src/rate-limit/policy";
import type { RateLimitStore } from "../../functions/src/rate-limit/rate-limit-store";
import type { RateLimitCase } from "../cases/rate-limits.ts";

/** 2100-01-01T00:00:00Z: a multiple of every window of up to a day, and far enough ahead for keys to live. */
export const EPOCH_MS = Date.UTC(2100, 0, 1);

/** Plays the requests of a case and compares the decisions. */
export async function expectCase(
  { limits, requests }: RateLimitCase,
  store: Pick<RateLimitStore, "take" | "refund">,
  setNow: (nowMs: number) => void,
): Promise<void> {
  const [policy] = checkPolicies([{ name: "p", by: "uid", limits }]);
  for (const [i, { atMs, cost = 1, operation, resetAtMs, ...expected }] of requests.entries()) {
    setNow(EPOCH_MS + atMs);
    if (operation === "refund") {
      await store.refund(policy!.limits, "alice", cost);
      continue;
    }
    const decision = await store.take(policy!.limits, "alice", { cost, peek: operation === "peek" });
    const wanted = resetAtMs === undefined ? expected : { ...expected, resetAtMs: EPOCH_MS + resetAtMs };
    expect({ request: i, ...decision }).toMatchObject({ request: i, ...wanted });
    expect(decision.reason).toBe(expected.allowed ? "within-limit" : "limit-reached");
  }
}
