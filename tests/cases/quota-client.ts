import type { CallableRequest } from "firebase-functions/v2/https";

import { IdempotencyKeyReusedError, withQuota, type QuotaClient } from "../../functions/src/lib";
import type { QuotaMode, QuotaSource } from "../../functions/src/quota/quota-service";

/** A client, and the provider documents that it goes by. */
export interface QuotaClientUnderTest {
  readonly quota: QuotaClient;
  readonly mode: QuotaMode;
  /** Sets a document, or deletes it, and comes back once the client goes by that. */
  setProvider(providerId: string, document: Readonly<Record<string, unknown>> | undefined): Promise<void>;
}

/** Who answers a check of what Redis knows. */
export const checkedBy = (mode: QuotaMode): QuotaSource => (mode === "firestore" ? "firestore" : "redis");

/** Who decides calls. */
export const decidedBy = (mode: QuotaMode): QuotaSource => (mode === "redis-primary" ? "redis" : "firestore");

/** What every client of quotas does, whatever it keeps them in: cases for real stores and for the one in memory. */
export const QUOTA_CLIENT_CASES: readonly {
  readonly name: string;
  readonly run: (client: QuotaClientUnderTest) => Promise<void>;
}[] = [
  {
    name: "counts what is within the quota, and nothing beyond it",
    async run({ quota, mode, setProvider }) {
      const checked = { source: checkedBy(mode) };
      const decided = { source: decidedBy(mode), replayed: false };
      const at = (used: number) => ({
        hasQuota: used < 10,
        used,
        limit: 10,
        remaining: 10 - used,
        found: true,
      });
      await setProvider("ada", { aiCallsUsed: 7, aiCallsLimit: 10 });
      expect(await quota.check("ada")).toEqual({ ...at(7), ...checked });
      expect(await quota.consume("ada")).toEqual({ allowed: true, ...at(8), ...decided });
      expect(await quota.consume("ada", { cost: 3 })).toEqual({ allowed: false, ...at(8), ...decided });
      expect(await quota.consume("ada", { cost: 2 })).toEqual({ allowed: true, ...at(10), ...decided });
      expect(await quota.consume("ada")).toEqual({ allowed: false, ...at(10), ...decided });
      expect(await quota.check("ada")).toEqual({ ...at(10), ...checked });
    },
  },
  {
    name: "gives back as much as has been used",
    async run({ quota, mode, setProvider }) {
      const source = decidedBy(mode);
      await setProvider("ada", { aiCallsUsed: 2, aiCallsLimit: 10 });
      await quota.consume("ada", { cost: 3 });
      expect(await quota.refund("ada")).toMatchObject({ allowed: true, used: 4, remaining: 6, source });
      expect(await quota.refund("ada", { cost: 100 })).toMatchObject({
        allowed: true,
        used: 0,
        remaining: 10,
      });
      expect(await quota.refund("ada")).toMatchObject({ allowed: true, used: 0 });
    },
  },
  {
    name: "answers a repetition as it answered the first, and counts it once",
    async run({ quota, mode, setProvider }) {
      const source = decidedBy(mode);
      await setProvider("ada", { aiCallsUsed: 0, aiCallsLimit: 3 });
      const named = { cost: 2, idempotencyKey: "call-1" };
      const first = await quota.consume("ada", named);
      expect(first).toMatchObject({ allowed: true, used: 2 });
      await quota.consume("ada");
      expect(await quota.consume("ada", named)).toEqual({ ...first, source, replayed: true });
      expect(await quota.check("ada")).toMatchObject({ used: 3 });
      expect(await quota.refund("ada", named)).toMatchObject({ allowed: true, used: 1, replayed: false });
      expect(await quota.refund("ada", named)).toMatchObject({ allowed: true, used: 1, replayed: true });
      expect(await quota.check("ada")).toMatchObject({ used: 1 });
    },
  },
  {
    name: "decides a repetition of what was refused anew",
    async run({ quota, setProvider }) {
      await setProvider("ada", { aiCallsUsed: 1, aiCallsLimit: 1 });
      const named = { idempotencyKey: "call-1" };
      expect((await quota.consume("ada", named)).allowed).toBe(false);
      await quota.refund("ada");
      expect(await quota.consume("ada", named)).toMatchObject({ allowed: true, used: 1 });
    },
  },
  {
    name: "rejects a key that comes with another cost",
    async run({ quota, setProvider }) {
      await setProvider("ada", { aiCallsUsed: 0, aiCallsLimit: 9 });
      const idempotencyKey = "call-1";
      await quota.consume("ada", { cost: 2, idempotencyKey });
      const error = await quota
        .consume("ada", { cost: 3, idempotencyKey })
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(IdempotencyKeyReusedError);
      expect(error).toMatchObject({ code: "idempotency-key-reused", field: "cost" });
      expect((error as Error).message).toContain("Expected `cost` to be 2");
      await expect(quota.refund("ada", { cost: 3, idempotencyKey })).rejects.toThrow("at most 2");
      expect(await quota.refund("ada", { cost: 1, idempotencyKey })).toMatchObject({ used: 1 });
      await expect(quota.refund("ada", { cost: 2, idempotencyKey })).rejects.toThrow(
        IdempotencyKeyReusedError,
      );
      // Keys belong to a provider.
      expect(await quota.consume("bob", { cost: 3, idempotencyKey })).toMatchObject({
        used: 3,
        replayed: false,
      });
      expect(await quota.check("ada")).toMatchObject({ used: 1 });
    },
  },
  {
    name: "takes back by key only what the key has consumed",
    async run({ quota, setProvider }) {
      await setProvider("ada", { aiCallsUsed: 3, aiCallsLimit: 4 });
      const named = { cost: 2, idempotencyKey: "call-1" };
      const nothing = { allowed: false, used: 3, limit: 4, replayed: false };
      expect(await quota.consume("ada", named)).toMatchObject(nothing);
      expect(await quota.refund("ada", named)).toMatchObject(nothing);
      expect(await quota.refund("ada", { idempotencyKey: "never counted" })).toMatchObject(nothing);
      await quota.refund("ada", { cost: 2 });
      expect(await quota.consume("ada", named)).toMatchObject({ allowed: true, used: 3, replayed: false });
      expect(await quota.refund("ada", named)).toMatchObject({ allowed: true, used: 1, replayed: false });
      await quota.consume("ada");
      expect(await quota.refund("ada", named)).toMatchObject({ allowed: true, replayed: true });
      expect(await quota.check("ada")).toMatchObject({ used: 2 });
    },
  },
  {
    name: "runs a handler at most twice for one key, and a second time only if the first run did not finish",
    async run({ quota, setProvider }) {
      await setProvider("ada", { aiCallsUsed: 0, aiCallsLimit: 9 });
      const request = (key: string) => ({ data: { key } }) as unknown as CallableRequest<{ key: string }>;
      let runs = 0;
      let failing = 0;
      const handle = withQuota(
        () => {
          runs++;
          if (failing-- > 0) throw new Error("the model failed");
          return "done";
        },
        {
          quota,
          providerId: () => "ada",
          idempotencyKey: ({ data }: CallableRequest<{ key: string }>) => data.key,
        },
      );
      const finished = { code: "already-exists" };
      expect(await handle(request("a"))).toBe("done");
      for (let i = 0; i < 5; i++) await expect(handle(request("a"))).rejects.toMatchObject(finished);
      expect(runs).toBe(1);

      failing = 1;
      await expect(handle(request("b"))).rejects.toThrow("the model failed");
      expect(await quota.check("ada")).toMatchObject({ used: 2 });
      expect(await handle(request("b"))).toBe("done");
      await expect(handle(request("b"))).rejects.toMatchObject(finished);
      expect(runs).toBe(3);
      expect(await quota.check("ada")).toMatchObject({ used: 2 });

      // What failed for good is given back.
      failing = 9;
      for (let i = 0; i < 2; i++) await expect(handle(request("c"))).rejects.toThrow("the model failed");
      await expect(handle(request("c"))).rejects.toMatchObject(finished);
      expect(runs).toBe(5);
      expect(await quota.check("ada")).toMatchObject({ used: 2 });

      failing = 0;
      const key = await quota.consume("ada", { idempotencyKey: "d" });
      expect(key.replayed).toBe(false);
      // As if the answer to that was lost.
      expect(await handle(request("d"))).toBe("done");
      await expect(handle(request("d"))).rejects.toMatchObject(finished);
      expect(runs).toBe(6);
    },
  },
  {
    name: "goes by the document as it is changed",
    async run({ quota, setProvider }) {
      await setProvider("ada", { aiCallsUsed: 5, aiCallsLimit: 5 });
      expect((await quota.consume("ada")).allowed).toBe(false);
      await setProvider("ada", { aiCallsUsed: 5, aiCallsLimit: 6 });
      expect(await quota.consume("ada")).toMatchObject({ allowed: true, used: 6, limit: 6 });
      await setProvider("ada", { aiCallsUsed: 0, aiCallsLimit: 0 });
      expect(await quota.check("ada")).toMatchObject({ hasQuota: false, used: 0, limit: 0 });
    },
  },
  {
    name: "reads Firestore after an invalidation, and keeps the usage that Firestore does not have yet",
    async run({ quota, mode, setProvider }) {
      await setProvider("ada", { aiCallsUsed: 1, aiCallsLimit: 10 });
      for (const id of ["ada", "nobody"]) {
        await quota.check(id);
        await quota.consume(id, { cost: 2 });
        const before = await quota.check(id);
        await quota.invalidate(id);
        expect(await quota.check(id)).toMatchObject({ used: before.used, limit: before.limit });
        expect(await quota.check(id)).toMatchObject({ used: before.used, source: checkedBy(mode) });
        expect(await quota.consume(id)).toMatchObject({ used: before.used + 1, source: decidedBy(mode) });
      }
      await quota.invalidate("ada");
      expect(await quota.check("ada")).toMatchObject({ used: 4, source: "firestore" });
      await expect(quota.invalidate("a/b")).rejects.toThrow("providerId");
    },
  },
  {
    name: "has defaults for fields and documents that are not there",
    async run({ quota, mode, setProvider }) {
      await setProvider("ada", {});
      expect(await quota.check("ada")).toMatchObject({ used: 0, limit: 100, found: true });
      const missing = { hasQuota: true, used: 0, limit: 100, remaining: 100, found: false };
      expect(await quota.check("nobody")).toEqual({ ...missing, source: "firestore" });
      expect(await quota.check("nobody")).toEqual({ ...missing, source: checkedBy(mode) });
      expect(await quota.consume("nobody", { cost: 99 })).toMatchObject({
        allowed: true,
        used: 99,
        found: false,
        source: decidedBy(mode),
      });
      // Where Firestore decides, it has made the document.
      const found = mode !== "redis-primary";
      expect(await quota.consume("nobody", { cost: 2 })).toMatchObject({ allowed: false, used: 99, found });
      expect(await quota.check("nobody")).toMatchObject({ used: 99, found, source: checkedBy(mode) });
    },
  },
  {
    name: "names what is wrong with a call or a document",
    async run({ quota, setProvider }) {
      await setProvider("ada", { aiCallsUsed: "7", aiCallsLimit: 10 });
      await expect(quota.check("ada")).rejects.toThrow(
        /^Expected `aiCallsUsed` to be a whole number.*; got "7"/,
      );
      await expect(quota.consume("ada")).rejects.toThrow(
        /^Expected `aiCallsUsed` to be a whole number.*; got "7"/,
      );
      await expect(quota.check("a/b")).rejects.toThrow(
        /^Expected `providerId` to be a document id.*; got "a\/b"/,
      );
      await expect(quota.consume("b", { cost: 0 })).rejects.toThrow(
        /^Expected `cost` to be a whole number.*; got 0/,
      );
      await expect(quota.refund("b", { cost: -1 })).rejects.toThrow(/`cost` to be .*; got -1\./);
      await expect(quota.consume("b", { idempotencyKey: "" })).rejects.toThrow(
        /`idempotencyKey` to be .*; got ""\./,
      );
    },
  },
];
