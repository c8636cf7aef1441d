import { randomUUID } from "node:crypto";

import { type ServerDuplexStream, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { type CollectionReference, type Firestore, Timestamp } from "@google-cloud/firestore";

import { firestoreService } from "../../emulator/firestore/protocol.ts";
import { type FirestoreServer, startFirestoreServer } from "../../emulator/firestore/server.ts";
import { LocalRateLimitStore } from "../../functions/src/rate-limit/local-rate-limit-store";
import { checkPolicies, InvalidPolicies, type PolicyInput } from "../../functions/src/rate-limit/policy";
import { PolicyDocuments } from "../../functions/src/rate-limit/policy-documents";
import type { PoliciesByName } from "../../functions/src/rate-limit/policy-source";
import { RateLimiter } from "../../functions/src/rate-limit/rate-limiter";
import { RedisRateLimitStore } from "../../functions/src/rate-limit/redis-rate-limit-store";
import { RedisConnection } from "../../functions/src/redis/connection";
import { Keys } from "../../functions/src/redis/keys";
import { connect } from "../emulator-firestore/firestore-target.ts";
import { connectPatiently } from "../harness/patience.ts";
import { recordLogs } from "../harness/recorded-logs.ts";
import { uniquePrefix } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";

const perHour = (limit: number) => ({
  by: "uid" as const,
  limits: [{ algorithm: "fixed-window" as const, limit, window: "1 h" }],
});

let server: FirestoreServer;
let firestore: Firestore;
let connection: RedisConnection;
let collection: CollectionReference;
let sources: PolicyDocuments[];

beforeAll(async () => {
  server = await startFirestoreServer();
  firestore = connect(`${server.host}:${server.port}`, "demo-policies");
  connection = connectPatiently();
});

beforeEach(() => {
  collection = firestore.collection(`policies-${randomUUID()}`);
  sources = [];
});

afterEach(async () => {
  for (const source of sources) source.close();
  await collection.get(); // what the client's streams end with is heard before Jest leaves the file
});

afterAll(async () => {
  connection.close();
  await firestore.terminate();
  await server.close();
});

function sourceOf(configured: readonly PolicyInput[], client = firestore) {
  const recorded = recordLogs();
  const policies = checkPolicies(configured);
  const source = new PolicyDocuments(() => client, collection.path, policies, recorded.logs);
  sources.push(source);
  return { source, recorded, policies };
}

/** A limiter by these policies, as one process has it; `take` is who it allows how much. */
function limiterOf(source: PolicyDocuments, prefix = uniquePrefix()) {
  const shared = new RedisRateLimitStore(connection, new Keys(prefix));
  const { logs, metrics } = recordLogs();
  return new RateLimiter(source, shared, new LocalRateLimitStore(), logs, metrics);
}

/** The policies, which must be at hand. */
function known(source: PolicyDocuments): PoliciesByName {
  const policies = source.policies();
  if (policies instanceof Promise) throw new Error("The policies are not known yet.");
  return policies;
}

function limitOf(policies: PoliciesByName, name: string) {
  const policy = policies.get(name);
  return policy instanceof InvalidPolicies ? undefined : policy?.limits.limits[0]?.limit;
}

const untilLimit = (source: PolicyDocuments, name: string, limit: number | undefined) =>
  waitFor(() => limitOf(known(source), name) === limit, { what: `${name} to allow ${String(limit)}` });

test("a changed document is in force in every process within seconds, and counts go on", async () => {
  await collection.doc("p").set(perHour(2));
  const prefix = uniquePrefix();
  const [one, other] = [sourceOf([]).source, sourceOf([]).source];
  const limiters = [limiterOf(one, prefix), limiterOf(other, prefix)] as const;
  for (const limiter of limiters) expect(await limiter.check("p", "a")).toMatchObject({ allowed: true });
  for (const limiter of limiters) expect(await limiter.check("p", "a")).toMatchObject({ allowed: false });

  await collection.doc("p").update({ limits: perHour(4).limits });
  await Promise.all([one, other].map((source) => untilLimit(source, "p", 4)));
  for (const limiter of limiters)
    expect(await limiter.check("p", "a")).toMatchObject({ allowed: true, limit: 4, source: "redis" });
  expect(await limiters[0].check("p", "a")).toMatchObject({ allowed: false, limit: 4 });

  await collection.doc("q").set(perHour(1));
  await untilLimit(one, "q", 1);
  expect(await limiters[0].check("q", "a")).toMatchObject({ allowed: true, limit: 1 });
});

test("a document wins over the configured policy of its name, which is back when the document is deleted", async () => {
  await collection.doc("p").set(perHour(9));
  const { source, policies } = sourceOf([
    { name: "p", ...perHour(1) },
    { name: "q", ...perHour(3) },
  ]);
  const first = await source.policies();
  expect([limitOf(first, "p"), limitOf(first, "q")]).toEqual([9, 3]);
  await collection.doc("p").delete();
  await untilLimit(source, "p", 1);
  expect(known(source).get("p")).toBe(policies[0]);
});

test("calls for an invalid document without a valid version fail with what is wrong, until it is corrected", async () => {
  await collection.doc("p").set({ by: "nobody" });
  const { source } = sourceOf([]);
  const limiter = limiterOf(source);
  for (const call of [
    () => limiter.check("p", "a"),
    () => limiter.policy("p"),
    () => limiter.reset("p", "a"),
  ]) {
    await expect(call()).rejects.toThrow(InvalidPolicies);
    await expect(call()).rejects.toThrow(/Expected `by` to be .*\nExpected `limits` to be/);
  }
  await collection.doc("p").set(perHour(1));
  await untilLimit(source, "p", 1);
  expect(await limiter.check("p", "a")).toMatchObject({ allowed: true });
});

test("an invalid document is logged once, and its last valid version stays in force", async () => {
  await collection.doc("p").set(perHour(2));
  await collection.doc("q").set({ by: "nobody" });
  const { source, recorded } = sourceOf([{ name: "q", ...perHour(3) }]);
  const before = await source.policies();
  expect(limitOf(before, "q")).toBe(3);

  await collection.doc("p").set({ ...perHour(-1), limit: 3 });
  const logged = () => recorded.entries.filter(({ event }) => event === "policy_document_invalid");
  await waitFor(() => logged().length === 2, { what: "the log entry" });
  expect(known(source).get("p")).toBe(before.get("p"));
  await collection.doc("r").set(perHour(5));
  await untilLimit(source, "r", 5);
  expect(known(source).get("p")).toBe(before.get("p"));
  expect(logged()).toMatchObject([
    {
      document: `${collection.path}/q`,
      problems: [
        'Expected `by` to be uid, ip, app, subject or global; got "nobody".',
        "Expected `limits` to be an array of 1 to 8 limits; got undefined.",
      ],
    },
    {
      document: `${collection.path}/p`,
      problems: [
        "Expected `limits[0].limit` to be a whole number, 0 or more; got -1.",
        expect.stringContaining('unknown field "limit"') as unknown,
      ],
    },
  ]);

  await collection.doc("p").set(perHour(7));
  await untilLimit(source, "p", 7);
});

test("only a changed document's policy becomes another object", async () => {
  await Promise.all(["p", "q"].map((name) => collection.doc(name).set(perHour(1))));
  const { source } = sourceOf([]);
  const before = await source.policies();
  await collection.doc("p").set(perHour(2));
  await untilLimit(source, "p", 2);
  expect(known(source).get("q")).toBe(before.get("q"));
  expect(known(source).get("p")).not.toBe(before.get("p"));
});

test("a document may say in a timestamp until when a subject is blocked", async () => {
  const blockedUntil = Timestamp.fromMillis(Date.now() + 60_000);
  await collection.doc("p").set({ ...perHour(5), overrides: [{ subject: "a", blockedUntil }] });
  const limiter = limiterOf(sourceOf([]).source);
  expect(await limiter.check("p", "a")).toMatchObject({ allowed: false, reason: "blocked" });
  expect(await limiter.check("p", "b")).toMatchObject({ allowed: true });
});

test("nothing is asked of Firestore before the first call, nor after the end", async () => {
  const client = connect(`${server.host}:${server.port}`, "demo-policies");
  const { source } = sourceOf([{ name: "p", ...perHour(1) }], client);
  source.close();
  expect(limitOf(known(source), "p")).toBe(1);
  await client.terminate(); // refuses to if there are listeners
});

describe("while Firestore is away", () => {
  let port: number;
  let client: Firestore;
  let returned: FirestoreServer | undefined;

  beforeEach(async () => {
    const closed = await startFirestoreServer();
    port = closed.port;
    await closed.close();
    client = connect(`127.0.0.1:${port}`, "demo-policies");
  });

  afterEach(async () => {
    for (const source of sources) source.close();
    if (returned) await client.doc("any/document").get();
    await client.terminate();
    await returned?.close();
    returned = undefined;
  });

  /** Starts Firestore with one document, which is seen in the end. */
  async function expectToLearnOf(source: PolicyDocuments): Promise<void> {
    returned = await startFirestoreServer({ port });
    const writer = connect(`127.0.0.1:${port}`, "demo-policies");
    await writer.doc(`${collection.path}/p`).set(perHour(8));
    await writer.terminate();
    await waitFor(() => limitOf(known(source), "p") === 8, { what: "the document", timeoutMs: 20_000 });
  }

  test("the configured policies hold after a second, and the documents once it is back", async () => {
    const { source, recorded } = sourceOf([{ name: "p", ...perHour(1) }], client);
    const startedMs = performance.now();
    const limiter = limiterOf(source);
    expect(await limiter.check("p", "a")).toMatchObject({ allowed: true, limit: 1, source: "redis" });
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(limitOf(known(source), "p")).toBe(1);
    expect(recorded.events()).toEqual(["policy_documents_unavailable"]);
    await expectToLearnOf(source);
  });

  test("a listener that ends with an error is started again", async () => {
    const cause = { code: status.PERMISSION_DENIED, message: "Not allowed." };
    const refusing = new Server();
    refusing.addService(firestoreService, {
      Listen(call: ServerDuplexStream<object, object>) {
        call.on("data", () =>
          call.write({ targetChange: { targetChangeType: "REMOVE", targetIds: [1], cause } }),
        );
        call.on("end", () => call.end());
      },
    });
    await new Promise((resolve) => {
      refusing.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), resolve);
    });
    const { source, recorded } = sourceOf([{ name: "p", ...perHour(1) }], client);
    expect(limitOf(await source.policies(), "p")).toBe(1);
    const error = expect.stringContaining("Not allowed.") as unknown;
    expect(recorded.entries).toMatchObject([{ event: "policy_documents_unavailable", error }]);
    refusing.forceShutdown();
    await expectToLearnOf(source);
  });
});
