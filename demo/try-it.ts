import { EXHAUSTED_PROVIDER_ID } from "./providers.ts";
import type { Report } from "./report.ts";
import { AI_CHAT, type Stack } from "./stack.ts";

/** Says where everything is, and what to type in another terminal. */
export function printWhatToTry(stack: Stack, consoleUrl: string, report: Report): void {
  const { emulators, redisServer } = stack;
  report.section("Running until Ctrl-C");
  report.value("Console, to be opened in a browser", consoleUrl);
  report.value("checkQuota", emulators.functionUrl("checkQuota"));
  report.value("checkRateLimit", emulators.functionUrl("checkRateLimit"));
  report.value("Firestore (FIRESTORE_EMULATOR_HOST)", emulators.firestoreHost);
  report.value("Auth (FIREBASE_AUTH_EMULATOR_HOST)", emulators.authHost);
  report.value("Redis", `127.0.0.1:${redisServer.port}`);
  for (const [what, ...lines] of suggestions(stack)) {
    report.line(`\n# ${what}`);
    for (const line of lines) report.line(line);
  }
  report.line();
}

function suggestions({ emulators, redisServer, keys }: Stack): [what: string, ...lines: string[]][] {
  const { projectId, firestoreHost, authHost } = emulators;
  const id = EXHAUSTED_PROVIDER_ID;
  const signUp = `http://${authHost}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=any`;
  const json = "-H 'Content-Type: application/json'";
  const check = `call checkQuota '${JSON.stringify({ providerId: id })}'`;
  return [
    [
      "Sign in as a new user, whose ID token each call carries",
      `TOKEN=$(curl -s '${signUp}' ${json} -d '{"returnSecureToken":true}' \\`,
      `  | sed -n 's/.*"idToken": *"\\([^"]*\\)".*/\\1/p')`,
      `call() { curl -s "${emulators.functionUrl("$1")}" \\`,
      `  -H "Authorization: Bearer $TOKEN" ${json} -d "{\\"data\\":$2}"; echo; }`,
    ],
    [`Check a quota. Its entry in Redis lives five minutes; the next check brings it back`, check],
    [
      "Look at the entry: used, limit, version, flush id",
      `redis-cli -p ${redisServer.port} EVAL 'return {struct.unpack("<dddd", redis.call("GET", KEYS[1]))}' 1 '${keys.quota(id)}'`,
    ],
    [
      "Change the limit in Firestore, in the folder of this repository, and check again",
      `FIRESTORE_EMULATOR_HOST=${firestoreHost} METADATA_SERVER_DETECTION=none node_modules/.bin/node -e '`,
      `  const { Firestore } = require("@google-cloud/firestore");`,
      `  new Firestore({ projectId: "${projectId}" }).doc("providers/${id}").update({ aiCallsLimit: 1000 })'`,
      `sleep 1; ${check}`,
    ],
    [
      "Use up a rate limit",
      `for i in $(seq 12); do call checkRateLimit '${JSON.stringify({ policy: AI_CHAT.name })}'; done`,
    ],
  ];
}
