import { join } from "node:path";
import { type App, deleteApp, initializeApp } from "firebase-admin/app";
import { type CollectionReference, getFirestore } from "firebase-admin/firestore";
import type { Redis } from "ioredis";
import { appVariables, type FirebaseEmulators, startFirebaseEmulators } from "../emulator/start.ts";
import { Keys } from "../functions/dist/redis/keys.js";
import { type RedisServer, startRedis } from "../scripts/redis-server.mjs";
import { AppUser } from "./app-user.ts";
import { formatMs } from "./latency.ts";
import { MirrorWatch, NOTIFY_SETTING } from "./mirror-watch.ts";
import { connectRedis } from "./redis-client.ts";
import type { Report } from "./report.ts";

export const KEY_PREFIX = "frq";
export const DEFAULT_LIMIT = 100;

/** Ten AI calls at once for each user, and another one every 6 s. */
export const AI_CHAT = {
  name: "ai-chat",
  by: "uid",
  limits: [{ algorithm: "token-bucket", limit: 10, windowMs: 60_000 }],
  onRedisFailure: "local",
} as const;

/** The policies that the demo installs: one for each algorithm, and for each thing to do when Redis fails. */
export const POLICIES = [
  AI_CHAT,
  {
    name: "search",
    by: "uid",
    limits: [{ algorithm: "fixed-window", limit: 30, windowMs: 10_000 }],
    onRedisFailure: "open",
  },
  {
    name: "booking",
    by: "uid",
    limits: [{ algorithm: "sliding-window", limit: 5, windowMs: 10_000 }],
    onRedisFailure: "closed",
  },
] as const;

/** What the extension is installed with; the other params have their defaults. */
export const PARAMS = {
  KEY_PREFIX,
  QUOTA_DEFAULT_LIMIT: String(DEFAULT_LIMIT),
  ON_CHANGE: "update",
  MISSING_PROVIDER: "default-limit",
  // One user checks all providers.
  CHECK_ACCESS: "signed-in",
  // The default, 100 ms, is little for the first call of a process that the emulator starts beside all else.
  REDIS_TIMEOUT_MS: "500",
  RATE_LIMIT_POLICIES: JSON.stringify(POLICIES),
};

/** The app's own functions. */
const EXAMPLE = join(import.meta.dirname, "../examples/ai-chat");

/** A deployed app in small: the extension in the emulators, its Redis, and the clients that the demo looks with. */
export interface Stack {
  readonly redisServer: RedisServer;
  readonly emulators: FirebaseEmulators;
  /** The provider documents, as the app's server writes them with firebase-admin. */
  readonly providers: CollectionReference;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly mirror: MirrorWatch;
  readonly user: AppUser;
}

/** Undoes what has been started, the last first. */
export class CleanUp {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) await step();
  }
}

export interface StackOptions {
  /** Google's own emulators instead of the stand-ins. */
  readonly official: boolean;
  /** Told of each line that the emulators and the functions print. */
  readonly log: (line: string) => void;
}

export async function startStack(options: StackOptions, report: Report, cleanUp: CleanUp): Promise<Stack> {
  const redisServer = await startRedis({ args: NOTIFY_SETTING });
  cleanUp.add(() => redisServer.stop());
  const redis = connectRedis(redisServer.port);
  cleanUp.add(() => redis.disconnect());
  const version = /redis_version:(\S+)/.exec(await redis.info("server"))?.[1];
  report.value(`Redis ${version}`, `127.0.0.1:${redisServer.port}`);

  const emulators = await startEmulators(redisServer.port, options, report);
  cleanUp.add(() => emulators.stop());

  const app = connectAdmin(emulators);
  cleanUp.add(() => deleteApp(app));
  const keys = new Keys(KEY_PREFIX);
  const mirror = await MirrorWatch.start(redisServer.port, keys);
  cleanUp.add(() => mirror.stop());
  const user = await AppUser.signIn(emulators, "caller-1");
  return {
    redisServer,
    emulators,
    providers: getFirestore(app).collection("providers"),
    redis,
    keys,
    mirror,
    user,
  };
}

async function startEmulators(
  redisPort: number,
  { official, log }: StackOptions,
  report: Report,
): Promise<FirebaseEmulators> {
  const startedAt = performance.now();
  const elapsed = (): string => formatMs(performance.now() - startedAt);
  const tick = setInterval(() => report.progress(`starting the Firebase emulators, ${elapsed()}`), 500);
  try {
    const which = official ? { official } : {};
    const env = { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redisPort), ...appVariables(PARAMS) };
    const emulators = await startFirebaseEmulators({
      redisPort,
      params: PARAMS,
      codebase: { path: EXAMPLE, env },
      log,
      ...which,
    });
    report.value("Firebase emulators with the extension", `ready after ${elapsed()}`);
    return emulators;
  } finally {
    clearInterval(tick);
  }
}

function connectAdmin({ projectId, firestoreHost, authHost }: FirebaseEmulators): App {
  process.env["METADATA_SERVER_DETECTION"] = "none"; // Google's libraries would look for a server of Google Cloud's
  process.env["FIRESTORE_EMULATOR_HOST"] = firestoreHost;
  process.env["FIREBASE_AUTH_EMULATOR_HOST"] = authHost;
  return initializeApp({ projectId });
}
