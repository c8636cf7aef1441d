import { CallControls } from "../../emulator/firestore/controls.ts";
import { FirestoreUnavailableError } from "../../functions/src/firestore";
import type { RedisConnection } from "../../functions/src/redis/connection";
import { startTarget, type FirestoreTarget } from "../emulator-firestore/firestore-target.ts";
import { connectPatiently } from "../harness/patience.ts";
import { assembleQuotaParts } from "../harness/quota-parts.ts";

let target: FirestoreTarget;
let redis: RedisConnection;
beforeAll(async () => {
  target = await startTarget();
  redis = connectPatiently();
});
afterAll(async () => {
  redis.close();
  await target.stop();
});

test.each([
  ["NOT_FOUND", "The database (default) does not exist for project p.", /Create the Firestore database/],
  ["PERMISSION_DENIED", "Missing or insufficient permissions.", /Grant the role datastore\.user/],
  ["UNAUTHENTICATED", "Request had invalid authentication credentials.", /GOOGLE_APPLICATION_CREDENTIALS/],
] as const)(
  "%s of the whole database is no conflict to try again, and says what to do",
  async (status, message, remedy) => {
    const { service, recorded } = assembleQuotaParts({
      firestore: target.db,
      redis,
      mode: "dual-write",
      firestoreTimeoutMs: 20_000,
    });
    const calls = new CallControls(target.address);
    await calls.set({ status, message });
    try {
      const error: unknown = await service.consume("p1").catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(FirestoreUnavailableError);
      expect((error as Error).message).toMatch(remedy);
      // Those of Google's client. As a conflict it would be tried until the time limit.
      expect((await calls.stats()).failed).toBeLessThanOrEqual(5);
      const entry = recorded.entries.find(({ event }) => event === "firestore_unavailable");
      expect(entry!["error"]).toMatch(remedy);
    } finally {
      await calls.clear();
    }
  },
);
