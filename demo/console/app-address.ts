import { POLICIES, type Stack } from "../stack.ts";
import type { AppAddress, PolicyText } from "./messages.ts";

const UID = "console-admin";

/** What the page needs to reach the running app as a client does. */
export function appAddress({ emulators }: Stack): AppAddress {
  const { projectId, authHost, ports, address } = emulators;
  return {
    projectId,
    authUrl: `http://${authHost}`,
    functionsPort: ports.functions,
    location: address.location,
    functionNames: {
      checkRateLimit: emulators.functionName("checkRateLimit"),
      consumeQuota: emulators.functionName("consumeQuota"),
      getStatus: emulators.functionName("getStatus"),
    },
    // The Auth emulator takes unsigned custom tokens; ADMIN_CLAIM is "admin".
    customToken: JSON.stringify({ uid: UID, claims: { admin: true } }),
    policies: POLICIES.map(policyText),
  };
}

const ALGORITHMS = {
  "token-bucket": "token bucket",
  "fixed-window": "fixed window",
  "sliding-window": "sliding window",
};

function policyText({ name, limits: [limit], onRedisFailure }: (typeof POLICIES)[number]): PolicyText {
  const windowSeconds = limit.windowMs / 1_000;
  return {
    name,
    limit: `${limit.limit} per ${windowSeconds} s, ${ALGORITHMS[limit.algorithm]}`,
    onRedisFailure,
  };
}
