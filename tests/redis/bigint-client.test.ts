import { Firestore, Timestamp } from "@google-cloud/firestore";

import { type FirestoreServer, startFirestoreServer } from "../../emulator/firestore/server.ts";
import { QuotaBackfill } from "../../functions/src/quota/quota-backfill";
import { InvalidQuotaDocumentError } from "../../functions/src/quota/quota";
import { InvalidPolicies } from "../../functions/src/rate-limit/policy";
import { PolicyDocuments, readPolicyDocuments } from "../../functions/src/rate-limit/policy-documents";
import type { RedisConnection } from "../../functions/src/redis/connection";
import { connectPatiently } from "../harness/patience.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { assembleSessionParts } from "../harness/session-parts.ts";
import { uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";

const TOO_LARGE = 2n ** 60n;
const MODES = ["firestore", "dual-write", "redis-primary"] as const;

let server: FirestoreServer;
/** A client as an app may have it: it returns integers as bigints. */
let firestore: Firestore;
let connection: RedisConnection;

beforeAll(async () => {
  server = await startFirestoreServer();
  process.env["FIRESTORE_EMULATOR_HOST"] = `${server.host}:${server.port}`;
  firestore = new Firestore({ projectId: "demo-bigint", useBigInt: true });
  connection = connectPatiently();
});

afterAll(async () => {
  await firestore.collection("any").limit(1).get(); // what the listeners end with is heard before Jest leaves the file
  connection.close();
  await firestore.terminate();
  await server.close();
});

describe.each(MODES)("in mode %s", (mode) => {
  test("quotas are checked, consumed, refunded and synced", async () => {
    const { service, collection, sync } = assembleQuotaParts({ firestore, redis: connection, mode });
    const document = collection.doc("p1");
    await document.set({ aiCallsUsed: 2, aiCallsLimit: 10 });
    expect(typeof (await document.get()).get("aiCallsUsed")).toBe("bigint");
    expect(await service.check("p1")).toMatchObject({ used: 2, limit: 10 });
    for (const used of [3, 4, 5])
      expect(await service.consume("p1", { idempotencyKey: `call ${used}` })).toMatchObject({
        allowed: true,
        used,
      });
    expect(await service.consume("p1", { idempotencyKey: "call 5" })).toMatchObject({ used: 5 });
    if (mode === "redis-primary") await sync.flushAll({ deadlineMs: Date.now() + 60_000 });
    expect((await document.get()).get("aiCallsUsed")).toBe(5n);
    if (mode === "redis-primary") {
      await service.consume("p1");
      await sync.flushAll({ deadlineMs: Date.now() + 60_000 });
      expect((await document.get()).get("aiCallsUsed")).toBe(6n);
    }
  });

  test("a quota out of range is the error that names it", async () => {
    const { service, collection } = assembleQuotaParts({ firestore, redis: connection, mode });
    await collection.doc("p1").set({ aiCallsUsed: TOO_LARGE, aiCallsLimit: 10 });
    const message = "Expected `aiCallsUsed` to be a whole number, 0 or more, of at most 15 digits; got 11529";
    for (const call of [service.check("p1"), service.consume("p1")]) {
      await expect(call).rejects.toThrow(InvalidQuotaDocumentError);
      await expect(call).rejects.toThrow(message);
    }
  });

  test("sessions hold numbers", async () => {
    const { service } = assembleSessionParts({ firestore, redis: connection, mode });
    const data = { count: 3, list: [1, { n: 2 }] };
    await service.set("s1", data);
    expect((await service.get("s1"))?.data).toEqual(data);
    expect(await service.touch("s1")).toBe(true);
    await service.destroy("s1");
    expect(await service.get("s1")).toBeUndefined();
  });
});

test("a session with an integer out of range is none, and its log entry says why", async () => {
  const { service, collection, recorded } = assembleSessionParts({ firestore, redis: connection });
  const expiresAt = Timestamp.fromMillis(Date.now() + 60_000);
  await collection.doc("s1").set({ data: { count: TOO_LARGE }, expiresAt });
  expect(await service.get("s1")).toBeUndefined();
  expect(recorded.entries).toMatchObject([{ event: "session_document_invalid" }]);
  expect(JSON.stringify(recorded.entries)).toContain("data.count");
});

test("a backfill mirrors the documents", async () => {
  const { collection, redisStore, recorded } = assembleQuotaParts({ firestore, redis: connection });
  await collection.doc("p1").set({ aiCallsUsed: 2, aiCallsLimit: 10, _quotaSync: { flushId: 7 } });
  const fields = { usedField: "aiCallsUsed", limitField: "aiCallsLimit", defaultLimit: 100 };
  const backfill = new QuotaBackfill(() => firestore, collection.id, fields, redisStore, recorded.logs);
  const { progress } = await backfill.goOn(await backfill.begin("run"), { deadlineMs: Date.now() + 60_000 });
  expect(progress).toMatchObject({ documents: 1, mirrored: 1, invalid: 0 });
});

describe("policy documents", () => {
  const policy = (limit: number | bigint) => ({
    by: "uid",
    limits: [{ algorithm: "fixed-window", limit, window: "1 h" }],
  });

  test("are in force, and an invalid one leaves the process and the others alone", async () => {
    const collection = firestore.collection(uniquePrefix());
    await collection.doc("good").set(policy(5));
    await collection.doc("bad").set(policy(TOO_LARGE));
    const recorded = recordLogs();
    const source = new PolicyDocuments(() => firestore, collection.path, [], recorded.logs);
    try {
      await source.policies();
      await waitFor(async () => (await source.policies()).has("good"), { what: "the policy" });
      expect((await source.policies()).get("bad")).toBeInstanceOf(InvalidPolicies);
      expect(recorded.events()).toContain("policy_document_invalid");
      expect(JSON.stringify(recorded.entries)).toContain(String(TOO_LARGE));
    } finally {
      source.close();
    }
    expect(await readPolicyDocuments(firestore, collection.path)).toHaveLength(2);
  });

  test("nothing that a callback throws reaches the event loop", async () => {
    const collection = firestore.collection(uniquePrefix());
    await collection.doc("good").set(policy(5));
    const recorded = recordLogs();
    const failing = {
      ...recorded.logs,
      policyDocumentInvalid: () => {
        throw new Error("a fault");
      },
    };
    await collection.doc("bad").set({ by: "nothing" });
    const source = new PolicyDocuments(() => firestore, collection.path, [], failing);
    try {
      expect(await source.policies()).toEqual(new Map());
      expect(recorded.entries).toMatchObject([{ event: "policy_documents_unavailable" }]);
    } finally {
      source.close();
    }
  });

  test("a client that cannot be made again does not end the process, and is tried again", async () => {
    const recorded = recordLogs();
    const fail = (_next: unknown, failed: (error: Error) => void) => (failed(new Error("cut off")), () => {});
    const clients = [
      { collection: () => ({ onSnapshot: fail }) } as unknown as Firestore,
      () => {
        throw new Error("The app was deleted.");
      },
    ];
    const collection = firestore.collection(uniquePrefix());
    await collection.doc("good").set(policy(5));
    const next = () => {
      const client = clients.shift() ?? firestore;
      return typeof client === "function" ? client() : client;
    };
    const source = new PolicyDocuments(next, collection.path, [], recorded.logs);
    try {
      await waitFor(async () => (await source.policies()).has("good"), { what: "the policy" });
      expect(clients).toEqual([]);
      expect(recorded.entries).toMatchObject([{ error: "cut off" }]);
    } finally {
      source.close();
    }
  });
});
