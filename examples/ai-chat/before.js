import { getApps, initializeApp } from "firebase-admin/app";
import { FieldValue, getFirestore } from "firebase-admin/firestore";
import { HttpsError, onCall } from "firebase-functions/v2/https";
import { askModel } from "./model.js";

const providers = getFirestore(getApps()[0] ?? initializeApp()).collection("providers");

/** Each check is a read of Firestore: 50 to 200 ms, and billed. Two calls at once can both pass the last check. */
async function checkAiQuota(providerId) {
  const data = (await providers.doc(providerId).get()).data();
  const used = data?.aiCallsUsed || 0;
  const limit = data?.aiCallsLimit || 100;
  return { hasQuota: used < limit, used, limit };
}

export const aiChatBefore = onCall(async ({ data: { providerId, question } }) => {
  const { hasQuota, used, limit } = await checkAiQuota(providerId);
  if (!hasQuota) throw new HttpsError("resource-exhausted", `Quota reached: ${used} of ${limit} used.`);
  const answer = await askModel(question);
  await providers.doc(providerId).update({ aiCallsUsed: FieldValue.increment(1) });
  return { answer, remaining: limit - used - 1, source: "firestore" };
});
