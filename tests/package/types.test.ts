import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { installPacked } from "../harness/packed-package.ts";

const ROOT = path.resolve(__dirname, "../..");
const TSC = path.join(ROOT, "node_modules/typescript/bin/tsc");

const DOCUMENTS = [
  "README.md",
  "PREINSTALL.md",
  "POSTINSTALL.md",
  "functions/README.md",
  ...readdirSync(path.join(ROOT, "docs"))
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];

/** What snippets use without declaring it: the reader's app, and what the snippet above them declares. */
const CONTEXT = `
declare global {
  const { onCall, onRequest }: typeof import("firebase-functions/v2/https");
  const { withQuota, withRateLimit, withHttpRateLimit, rateLimitMiddleware }: typeof import("firestore-redis-quota/lib");
  const { quota, limiter, sessions }: import("firestore-redis-quota/lib").RedisQuota;
  const { getFunctions, httpsCallable }: typeof import("firebase/functions");
  const functions: import("firebase/functions").Functions;
  const app: import("firebase/app").FirebaseApp & import("express").Express;
  const providers: import("firebase-admin/firestore").CollectionReference;
  const user: { readonly uid: string };
  const requestId: string;
  const id: string;
  const answerChat: (
    request: import("firebase-functions/v2/https").CallableRequest<{ providerId: string }>,
  ) => Promise<string>;
  const receive: (
    request: import("firebase-functions/v2/https").Request,
    response: import("express").Response,
  ) => void;
  const serve: typeof receive;
  const cors: typeof import("cors");
}
export {};`;

/** What an app writes, as a module of either kind. */
const APP = `
import { onCall, type CallableRequest } from "firebase-functions/v2/https";
import { createRedisQuota, withQuota, withRateLimit, type Decision } from "firestore-redis-quota/lib";
import { createTestRedisQuota } from "firestore-redis-quota/testing";
const { quota, limiter, sessions } = createRedisQuota({ redisHost: "10.0.0.3", mode: "dual-write" });
const chat = withQuota(async ({ data }: CallableRequest<{ providerId: string }>) => data.providerId, {
  quota,
  providerId: ({ data }) => data.providerId,
});
export const aiChat = onCall(withRateLimit(chat, { limiter, policy: "ai-chat" }));
export const plain = onCall(withRateLimit(async (request) => request.auth?.uid, { limiter, policy: "p" }));
export const left: Promise<number> = quota.check("p").then(({ remaining }) => remaining);
export const decision: Promise<Decision> = limiter.enforce("p", "s", { cost: 2 });
export const inline = limiter.check({ limit: 10, window: "1 m", algorithm: "token-bucket", burst: 20 }, "s");
// @ts-expect-error -- a limit has a number
limiter.enforce({ window: "1 m" }, "s");
interface Cart { readonly uid: string; readonly items: { id: string; count: number }[]; note?: string }
export const cart = (value: Cart) => sessions.set("id", value, { ttlSeconds: 60 });
// @ts-expect-error -- JSON has no dates
sessions.set("id", { at: new Date() });
// @ts-expect-error -- a session is an object
sessions.set("id", "text");
// @ts-expect-error -- a session is an object
sessions.set("id", null);
// @ts-expect-error -- a session is no array
sessions.set("id", [1]);
// @ts-expect-error -- JSON has no bigints
sessions.set("id", { n: 1n });
// @ts-expect-error -- JSON has no symbols
sessions.set("id", { s: Symbol() });
// @ts-expect-error -- JSON has no undefined
sessions.set("id", { a: undefined });
export const data = sessions.get("id").then((session) => session?.data["uid"]);
export const memory = createTestRedisQuota({ providers: { ada: { aiCallsUsed: 1 } } });
// @ts-expect-error -- there is no such mode
createRedisQuota({ mode: "redis" });
// @ts-expect-error -- there is no such option
createRedisQuota({ redisHots: "x" });
`;

/** The TypeScript blocks of all documents, as files named after the document and the line. */
function snippets(): [file: string, code: string][] {
  return DOCUMENTS.flatMap((document) => {
    const text = readFileSync(path.join(ROOT, document), "utf8");
    return Array.from(text.matchAll(/^ *```ts\n(.*?)^ *```$/gms), ({ index, 1: code }): [string, string] => {
      const line = text.slice(0, index).split("\n").length + 1;
      return [`${document.replaceAll("/", "_")}_${line}.mts`, `${code}\nexport {};\n`];
    });
  });
}

// One program, because loading the types of Firebase's packages takes most of the time.
test("the types hold for modules of either kind, and every TypeScript snippet of the documents compiles", () => {
  expect(snippets().length).toBeGreaterThan(10);
  const consumer = mkdtempSync(path.join(ROOT, ".tmp/package/types-"));
  installPacked(consumer);
  const files = [...snippets(), ["app.mts", APP], ["app.cts", APP], ["context.d.ts", CONTEXT]] as const;
  for (const [file, code] of files) writeFileSync(path.join(consumer, file), code);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    target: "es2022",
    module: "node16",
    types: ["node"],
  };
  writeFileSync(path.join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const { status, stdout } = spawnSync(process.execPath, [TSC], { cwd: consumer, encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
}, 300_000);

test("no snippet escapes the check as plain JavaScript", () => {
  const unchecked = DOCUMENTS.filter((document) =>
    /^ *```(js|jsx|tsx|mjs|javascript|typescript)$/m.test(readFileSync(path.join(ROOT, document), "utf8")),
  );
  expect(unchecked).toEqual([]);
});
