import { onCall } from "firebase-functions/v2/https";
import { createRedisQuota, withQuota, withRateLimit } from "firestore-redis-quota/lib";
import { askModel } from "./model.js";

// The settings are in the codebase's .env: the values of the extension's params, with the prefix REDIS_QUOTA_.
const { quota, limiter } = createRedisQuota();

/** Answers a user's question in a provider's name; the call is on the provider's quota, and on the user's rate limit. */
async function answerChat({ data: { providerId, question } }) {
  const answer = await askModel(question);
  const { remaining, source } = await quota.check(providerId);
  return { answer, remaining, source };
}

const counted = withQuota(answerChat, { quota, providerId: ({ data }) => data.providerId });

export const aiChat = onCall(withRateLimit(counted, { limiter, policy: "ai-chat" }));
export { aiChatBefore } from "./before.js";
