import { randomUUID } from "node:crypto";

import {
  FirestoreUnavailableError,
  QuotaOutcomeUnknownError,
  RedisUnavailableError,
  SessionDestroyedError,
  SessionStillCachedError,
  SessionUnavailableError,
  type RedisQuota,
} from "../../functions/src/lib";
import { checkedBy, decidedBy, type QuotaClientUnderTest } from "./quota-client.ts";

/** The clients of a mode, of stores that can fail. Policies are those of limiter-client.ts. */
export interface ClientsUnderTest extends QuotaClientUnderTest, Pick<RedisQuota, "limiter" | "sessions"> {
  /** As that of `TestRedisQuota`. */
  answerFrom(source: "redis" | "firestore" | "neither" | "unknown"): Promise<void>;
}

/** What clients do while Redis, or Firestore too, gives no answer: cases for real stores and for those in memory. */
export const OUTAGE_CASES: readonly {
  readonly name: string;
  readonly run: (clients: ClientsUnderTest) => Promise<void>;
}[] = [
  {
    name: "quotas are Firestore's while Redis is away",
    async run({ quota, mode, setProvider, answerFrom }) {
      const source = "firestore";
      await setProvider("ada", { aiCallsUsed: 1, aiCallsLimit: 4 });
      expect(await quota.consume("ada")).toMatchObject({ used: 2, source: decidedBy(mode) });
      await answerFrom("firestore");
      // What Redis has counted, and no sync has brought over, Firestore does not know.
      const used = mode === "redis-primary" ? 1 : 2;
      expect(await quota.check("ada")).toMatchObject({ used, source });
      expect(await quota.consume("ada")).toMatchObject({ allowed: true, used: used + 1, source });
      expect(await quota.consume("ada", { cost: 4 })).toMatchObject({
        allowed: false,
        used: used + 1,
        source,
      });
      expect(await quota.consume("nobody")).toMatchObject({ allowed: true, used: 1, found: false, source });
      await answerFrom("redis");
      expect(await quota.check("ada")).toMatchObject({ used: 3, source: checkedBy(mode) });
      expect(await quota.consume("ada")).toMatchObject({ allowed: true, used: 4, source: decidedBy(mode) });
      expect(await quota.consume("ada")).toMatchObject({ allowed: false, used: 4 });
    },
  },
  {
    name: "a repetition is known to the store that has counted the first",
    async run({ quota, mode, setProvider, answerFrom }) {
      await setProvider("ada", { aiCallsUsed: 0, aiCallsLimit: 4 });
      const named = { idempotencyKey: "call-1" };
      const first = await quota.consume("ada", named);
      await quota.consume("ada");
      await answerFrom("firestore");
      const replayed = mode !== "redis-primary";
      expect(await quota.consume("ada", named)).toEqual({ ...first, source: "firestore", replayed });
      await answerFrom("redis");
      expect(await quota.check("ada")).toMatchObject({ used: mode === "redis-primary" ? 3 : 2 });
    },
  },
  {
    name: "a refund by key takes back what Firestore has counted while Redis was unavailable",
    async run({ quota, mode, setProvider, answerFrom }) {
      await setProvider("ada", { aiCallsUsed: 1, aiCallsLimit: 9 });
      const [early, late] = ["early", "late"].map((idempotencyKey) => ({ cost: 2, idempotencyKey }));
      await quota.consume("ada", early);
      await answerFrom("firestore");
      await quota.consume("ada", late);
      // Only Redis knows what it has counted.
      if (mode === "redis-primary")
        await expect(quota.refund("ada", early)).rejects.toThrow(RedisUnavailableError);
      else expect(await quota.refund("ada", { ...early, cost: 1 })).toMatchObject({ allowed: true, used: 4 });
      await answerFrom("redis");
      for (let i = 0; i < 2; i++) expect(await quota.refund("ada", late)).toMatchObject({ allowed: true });
      expect(await quota.check("ada")).toMatchObject({ used: mode === "redis-primary" ? 3 : 2 });
      // Also if Redis is unavailable again.
      await answerFrom("firestore");
      expect(await quota.refund("ada", late)).toMatchObject({ allowed: true, replayed: true });
      await answerFrom("redis");
      expect(await quota.check("ada")).toMatchObject({ used: mode === "redis-primary" ? 3 : 2 });
    },
  },
  {
    name: "a call without an answer is of unknown outcome; with its key it can be repeated",
    async run({ quota, mode, setProvider, answerFrom }) {
      await setProvider("ada", { aiCallsUsed: 0, aiCallsLimit: 9 });
      await quota.consume("ada");
      await answerFrom("unknown");
      const named = { cost: 2, idempotencyKey: "call-1" };
      const error = await quota.consume("ada", named).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(QuotaOutcomeUnknownError);
      expect(error).toMatchObject({ code: "outcome-unknown", idempotencyKey: "call-1" });
      await answerFrom("redis");
      expect(await quota.consume("ada", named)).toMatchObject({
        allowed: true,
        used: 3,
        source: decidedBy(mode),
      });
      expect(await quota.consume("ada")).toMatchObject({ used: 4 });
      await answerFrom("firestore");
      const again = quota.consume("ada", named);
      // Only Redis could tell.
      if (mode === "redis-primary") await expect(again).rejects.toThrow(QuotaOutcomeUnknownError);
      else expect(await again).toMatchObject({ used: 3, source: "firestore" });
    },
  },
  {
    name: "sessions go on without Redis, unless it alone holds them",
    async run({ sessions, mode, answerFrom }) {
      const [id, other] = [randomUUID(), randomUUID()];
      await sessions.set(id, { n: 1 });
      await answerFrom("firestore");
      if (mode === "redis-primary") {
        for (const call of [
          () => sessions.get(id),
          () => sessions.set(other, {}),
          () => sessions.touch(id),
          () => sessions.destroy(id),
        ]) {
          const error = await call().catch((reason: unknown) => reason);
          expect(error).toBeInstanceOf(SessionUnavailableError);
          expect(error).toMatchObject({ outcome: "not-executed" });
        }
        await answerFrom("redis");
        expect(await sessions.get(id)).toEqual({ data: { n: 1 }, source: "redis" });
        return;
      }
      expect(await sessions.get(id)).toEqual({ data: { n: 1 }, source: "firestore" });
      expect(await sessions.touch(id)).toBe(true);
      await sessions.set(other, { n: 2 });
      expect(await sessions.get(other)).toEqual({ data: { n: 2 }, source: "firestore" });
      const destroyed = sessions.destroy(id);
      if (mode === "dual-write") await expect(destroyed).rejects.toThrow(SessionStillCachedError);
      else await destroyed;
      expect(await sessions.get(id)).toBeUndefined();
      await expect(sessions.set(id, {})).rejects.toThrow(SessionDestroyedError);
      await answerFrom("redis");
      await sessions.destroy(id);
      expect(await sessions.get(id)).toBeUndefined();
      expect((await sessions.get(other))?.data).toEqual({ n: 2 });
    },
  },
  {
    name: "rate limits are decided by what the policy says while Redis is away",
    async run({ limiter, answerFrom }) {
      const subject = randomUUID();
      for (const policy of ["local", "open", "closed"]) await limiter.check(policy, subject, { cost: 3 });
      await answerFrom("firestore");
      expect(await limiter.check("local", subject)).toMatchObject({ allowed: true, source: "local" });
      expect(await limiter.check("open", subject)).toMatchObject({
        allowed: true,
        source: "open",
        reason: "redis-unavailable",
      });
      expect(await limiter.check("closed", subject)).toMatchObject({
        allowed: false,
        source: "closed",
        reason: "redis-unavailable",
        retryAfterMs: 1000,
      });
      await expect(limiter.enforce("closed", subject)).rejects.toMatchObject({ code: "unavailable" });
      for (const call of [
        () => limiter.refund("local", subject),
        () => limiter.reset("local", subject),
        () => limiter.block("local", subject, 0),
      ]) {
        await expect(call()).rejects.toThrow(RedisUnavailableError);
      }
      await answerFrom("redis");
      expect(await limiter.check("local", subject)).toMatchObject({ allowed: false, source: "redis" });
    },
  },
  {
    name: "a session that was set without an answer may be there",
    async run({ sessions, mode, answerFrom }) {
      const id = randomUUID();
      await sessions.set(id, { n: 1 });
      await answerFrom("unknown");
      const error = await sessions.set(id, { n: 2 }).catch((reason: unknown) => reason);
      const kind = mode === "redis-primary" ? SessionUnavailableError : FirestoreUnavailableError;
      expect(error).toBeInstanceOf(kind);
      expect(error).toMatchObject({ outcome: "unknown" });
      await answerFrom("firestore");
      if (mode !== "redis-primary") expect((await sessions.get(id))?.data).toEqual({ n: 2 });
      await answerFrom("redis");
      if (mode === "redis-primary") expect((await sessions.get(id))?.data).toEqual({ n: 2 });
    },
  },
  {
    name: "a request that Redis counts without an answer is decided by what the policy says",
    async run({ limiter, answerFrom }) {
      const subject = randomUUID();
      await limiter.check("open", subject);
      await answerFrom("unknown");
      expect(await limiter.check("open", subject)).toMatchObject({ remaining: 3, source: "open" });
      await answerFrom("redis");
      expect(await limiter.check("open", subject)).toMatchObject({ remaining: 0, source: "redis" });
    },
  },
  {
    name: "whom neither store answers is told so",
    async run({ quota, sessions, limiter, mode, setProvider, answerFrom }) {
      await setProvider("ada", { aiCallsUsed: 0, aiCallsLimit: 9 });
      await answerFrom("neither");
      const errors = await Promise.all(
        [quota.check("ada"), quota.consume("ada"), sessions.get("s"), sessions.set("s", {})].map((call) =>
          (call as Promise<unknown>).catch((reason: unknown) => reason),
        ),
      );
      const ofSessions = mode === "redis-primary" ? SessionUnavailableError : FirestoreUnavailableError;
      const kinds = [FirestoreUnavailableError, FirestoreUnavailableError, ofSessions, ofSessions];
      for (const [i, kind] of kinds.entries()) expect(errors[i]).toBeInstanceOf(kind);
      expect(errors[1]).toMatchObject({ outcome: "not-executed" });
      expect(await limiter.check("open", "ada")).toMatchObject({ allowed: true, source: "open" });
      await answerFrom("redis");
      expect(await quota.check("ada")).toMatchObject({ used: 0 });
    },
  },
];
