import { CallControls } from "../../emulator/firestore/controls.ts";
import { QuotaOutcomeUnknownError } from "../../functions/src/quota/outcome-errors";
import type { QuotaMode } from "../../functions/src/quota/quota-service";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { connectPatiently } from "../harness/patience.ts";
import { assembleQuotaParts, type QuotaPartsOptions } from "../harness/quota-parts.ts";
import { testRedisPort } from "../harness/test-redis.ts";
import { waitFor } from "../harness/wait-for.ts";

let target: FirestoreTarget;
let calls: CallControls;
beforeAll(async () => {
  target = await startTarget();
  calls = new CallControls(target.address);
});
afterAll(() => target.stop());

const closing: (() => unknown)[] = [];
afterEach(async () => {
  await calls.clear();
  for (const close of closing.splice(0).reverse()) await close();
});

/** The provider p1 with a limit of 1000. In redis-primary Redis is unreachable, so that Firestore decides. */
async function prepare(mode: QuotaMode, options: Partial<QuotaPartsOptions> = {}) {
  const redis = connectPatiently(mode === "redis-primary" ? 1 : testRedisPort());
  closing.push(() => redis.close());
  const assemble = (more: Partial<QuotaPartsOptions> = {}) =>
    assembleQuotaParts({ firestore: target.db, redis, mode, ...options, ...more });
  const { service, collection, keys } = assemble();
  const document = collection.doc("p1");
  await document.set({ aiCallsUsed: 0, aiCallsLimit: 1000 });
  return {
    service,
    document,
    /** Another instance of the same functions. */
    otherInstance: () => assemble({ beside: { collection, keys } }).service,
    used: async () => (await document.get()).get("aiCallsUsed") as unknown,
  };
}

/** Loses the answer to the next commits, late enough for something to happen between a commit and its repetition. */
const loseAnswersToCommits = (delayMs: number) =>
  calls.set({ status: "UNAVAILABLE", at: "answer", delayMs, methods: ["Commit"] });

test("a call whose commit's answer is lost, and whose document cannot be read again, may have been counted", async () => {
  const modes = ["firestore", "dual-write", "redis-primary"] as const;
  const instances = await Promise.all(modes.map((mode) => prepare(mode, { firestoreTimeoutMs: 5000 })));
  await loseAnswersToCommits(2500);
  const answers = instances.map(({ service }) => service.consume("p1").catch((error: unknown) => error));
  for (const { used } of instances) await waitFor(async () => (await used()) === 1, { what: "the commit" });
  await calls.set({ status: "ABORTED", methods: ["BatchGetDocuments"] });
  for (const answer of answers) expect(await answer).toBeInstanceOf(QuotaOutcomeUnknownError);
}, 20_000);

test("a commit is repeated without counting twice, however many other calls come between", async () => {
  const { service, otherInstance, used } = await prepare("firestore");
  await loseAnswersToCommits(3000);
  const answer = service.consume("p1", { cost: 100 });
  await waitFor(async () => (await used()) === 100, { what: "the commit" });
  await calls.clear();
  const other = otherInstance();
  for (let i = 0; i < 40; i++) await other.consume("p1");
  expect(await answer).toMatchObject({ allowed: true, used: 100 });
  expect(await used()).toBe(140);
}, 20_000);

test("a document does not keep growing with the calls that it counts", async () => {
  const { service, otherInstance, document } = await prepare("firestore");
  const instances = [service, otherInstance()];
  for (let i = 0; i < 120; i++) await instances[i % 2]!.consume("p1");
  expect(JSON.stringify((await document.get()).data()).length).toBeLessThan(500);
});

test("a refund that finds nothing to take back does not keep a document from forgetting answered calls", async () => {
  const { service, document } = await prepare("firestore");
  const named = { idempotencyKey: "call-1" };
  await service.consume("p1", named);
  await document.update({ aiCallsUsed: 0 });
  expect(await service.refund("p1", named)).toMatchObject({ allowed: true, used: 0 });
  await service.consume("p1");
  expect((await document.get()).get("_quotaSync.calls")).toHaveLength(1);
});
