import type { Context } from "../../functions/src/context";
import { checkQuota } from "../../functions/src/handlers/check-quota";
import type { Call } from "../../functions/src/handlers/caller";
import { createTestRedisQuota } from "../../functions/src/testing";

const DOCUMENT = { aiCallsUsed: 1, aiCallsLimit: 3 };

/** Checks the quota of `ada`. */
async function checkAda(checkAccess: "owner" | "signed-in", uid: string | undefined, token: object = {}) {
  const { quota } = createTestRedisQuota({ providers: { ada: DOCUMENT } });
  const config = { enforceAppCheck: false, adminClaim: "admin", checkAccess };
  const call = { auth: uid && { uid, token }, data: { providerId: "ada" } } as unknown as Call;
  const context = { config, quotaService: quota } as unknown as Context;
  try {
    return (await checkQuota(call, () => context)).used;
  } catch (error) {
    return (error as { readonly code?: string }).code;
  }
}

test.each([
  ["owner", "ada", {}, 1],
  ["owner", "bob", {}, "permission-denied"],
  ["owner", "bob", { admin: "true" }, "permission-denied"],
  ["owner", "bob", { admin: true }, 1],
  ["owner", undefined, {}, "unauthenticated"],
  ["signed-in", "ada", {}, 1],
  ["signed-in", "bob", {}, 1],
  ["signed-in", undefined, {}, "unauthenticated"],
] as const)("with CHECK_ACCESS %s, %p with the claims %j gets %p", async (access, uid, token, answer) => {
  expect(await checkAda(access, uid, token)).toBe(answer);
});
