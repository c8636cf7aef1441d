/**
 * Do the callables stand up to load for minutes: without an error, without a call lost or counted twice, with flat
 * memory, and with one connection to Redis for each instance?
 *
 *   npm run bench -- load [--minutes 0.5] [--json]
 *
 * Each callable of the built package runs in processes of its own behind Google's Functions Framework, as Cloud
 * Functions starts it, in MODE redis-primary with a real Redis server and the stand-in Firestore. First each function is
 * called alone, then all instances of all functions are at once, for the minutes that you give. In the end each
 * provider must have used what was accepted for it. ID tokens are decoded and not verified, as there is no network to
 * ask for Google's keys: so the figures lack what a signature costs.
 *
 * Then the same calls go through the Functions emulator, whose own speed that measures: it gives each call that is under
 * way a process.
 *
 * Exit code 1 if a call failed, was lost or counted twice, an instance has more than one connection, or in 5 minutes or
 * more the memory of one has grown. `--json` prints the figures as the last line.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { Firestore } from "@google-cloud/firestore";
import { Redis } from "ioredis";
import { startFirebaseEmulators } from "../emulator/start.ts";
import { startRedis } from "../scripts/redis-server.mjs";
import { type CallableRequest, loadCallable, type LoadReport } from "./lib/callable-load.ts";
import { startFirestore, useFirestore } from "./lib/firestore-process.ts";
import { type FrameworkFunction, startFrameworkFunction } from "./lib/framework-function.ts";
import { describeMachine } from "./lib/machine.ts";
import { concurrently, median } from "./lib/measure.ts";
import { assembleQuotaParts } from "./lib/quota-parts.ts";
import { unsignedIdToken } from "./lib/unsigned-token.ts";

const { values: options } = parseArgs({
  options: { minutes: { type: "string", default: "0.5" }, json: { type: "boolean", default: false } },
});
const MINUTES = Number(options.minutes);
if (!(MINUTES > 0 && MINUTES <= 60)) throw new Error("--minutes takes a number up to 60");
const FUNCTIONS = ["checkQuota", "consumeQuota", "checkRateLimit"] as const;
type FunctionName = (typeof FUNCTIONS)[number];
const INSTANCES = 2;
const CALLERS_PER_INSTANCE = 8;
const EMULATOR_CALLERS = 4;
/** Few, as it answers few calls: each is to be in Redis after the first. */
const EMULATOR_PROVIDERS = 20;
const ALONE_MS = 5000;
const WARM_UP_MS = 5000;
const SAMPLE_MS = 1000;
const PROVIDERS = 1000;
const COLLECTION = "providers";
/** In less time V8 may still be growing its heap to what it needs. */
const MEMORY_IS_JUDGED_FROM_MINUTES = 5;
/** Memory in the last tenth of the time against that in the first. */
const MAX_GROWTH = 1.1;

const POLICY = {
  name: "load",
  by: "uid",
  limits: [{ algorithm: "sliding-window", limit: 1_000_000_000, window: "1 m" }],
};
const PARAMS = {
  MODE: "redis-primary",
  QUOTA_COLLECTION_PATH: COLLECTION,
  REDIS_TIMEOUT_MS: "1000",
  RATE_LIMIT_POLICIES: JSON.stringify([POLICY]),
};

const providers = Array.from({ length: PROVIDERS }, (_, i) => {
  const id = `provider-${i}`;
  return { id, idToken: unsignedIdToken(id), accepted: 0 };
});
let turn = 0;

/** The next call of a function, for the next of so many providers, in its own name. */
function nextCall(name: FunctionName, among: number): CallableRequest {
  const { id, idToken } = providers[turn++ % among]!;
  return { idToken, data: name === "checkRateLimit" ? { policy: POLICY.name } : { providerId: id } };
}

/** Calls a function's instances; answers by Firestore, or without Redis, are counted beside. */
async function load(
  name: FunctionName,
  urls: readonly string[],
  { callers, forMs, among = PROVIDERS }: { callers: number; forMs: number; among?: number },
) {
  let withoutRedis = 0;
  const report = await loadCallable(
    urls,
    { callers, forMs },
    () => nextCall(name, among),
    ({ source, allowed }, { data }) => {
      if (source !== "redis") withoutRedis++;
      if (name !== "consumeQuota") return;
      if (!allowed) throw new Error("refused a call within the limit");
      providers[Number((data as { providerId: string }).providerId.slice("provider-".length))]!.accepted++;
    },
  );
  return { ...report, withoutRedis };
}

function print(name: string, { perSecond, p50Ms, p99Ms, calls, errors, withoutRedis }: Measured): void {
  const cells = [
    Math.round(perSecond).toLocaleString("en-US"),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
    calls.toLocaleString("en-US"),
    withoutRedis.toLocaleString("en-US"),
    String(errors),
  ];
  console.log([name.padEnd(16), ...cells.map((cell) => cell.padStart(11))].join(" "));
}

function printHeader(title: string): void {
  console.log(`\n${title}`);
  const columns = ["calls/s", "p50 ms", "p99 ms", "calls", "not Redis", "errors"];
  console.log(["".padEnd(16), ...columns.map((column) => column.padStart(11))].join(" "));
}

type Measured = LoadReport & { readonly withoutRedis: number };
type Figures = Record<FunctionName, Measured>;

/** Loads all functions, and prints what came of it: one after the other, or all at once. */
async function loadAll(
  urlsOf: (name: FunctionName) => readonly string[],
  { together, ...how }: { callers: number; forMs: number; among?: number; together: boolean },
): Promise<Figures> {
  const figures: Partial<Figures> = {};
  const loadOne = async (name: FunctionName) => {
    figures[name] = await load(name, urlsOf(name), how);
  };
  if (together) await Promise.all(FUNCTIONS.map(loadOne));
  else for (const name of FUNCTIONS) await loadOne(name);
  for (const name of FUNCTIONS) print(name, figures[name]!);
  return figures as Figures;
}

/** Resident memory of a process in MiB. */
function rssMiB(pid: number): number {
  return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) / 1024;
}

/** Connections to Redis beside our own. */
async function connectionsOf(client: Redis, own: number): Promise<number> {
  return (
    String(await client.client("LIST"))
      .trim()
      .split("\n").length - own
  );
}

/** Watches instances and Redis until told to stop. */
function watch(instances: readonly FrameworkFunction[], client: Redis, ownConnections: number) {
  const rss: number[][] = instances.map(() => []);
  const connections: number[] = [];
  const timer = setInterval(() => {
    for (const [i, { pid }] of instances.entries()) rss[i]!.push(rssMiB(pid));
    void connectionsOf(client, ownConnections).then((count) => connections.push(count));
  }, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    const part = Math.max(1, Math.floor(connections.length / 10));
    const inAll = (from: number, to?: number) =>
      rss.map((samples) => Math.round(median(samples.slice(from, to))));
    return { firstMiB: inAll(0, part), lastMiB: inAll(-part), connections: Math.max(...connections) };
  };
}

async function writeProviders(firestore: Firestore, count: number): Promise<void> {
  const documents = firestore.collection(COLLECTION);
  await concurrently(64, count, (i) =>
    documents.doc(providers[i]!.id).set({ aiCallsUsed: 0, aiCallsLimit: 1_000_000_000 }),
  );
}

/** Providers of which Redis holds another usage than was accepted. */
async function differing(parts: ReturnType<typeof assembleQuotaParts>): Promise<number> {
  let count = 0;
  await concurrently(64, PROVIDERS, async (i) => {
    const { id, accepted } = providers[i]!;
    const { used } = await parts.service.check(id);
    if (used !== accepted) count++;
  });
  return count;
}

async function loadFramework(redisPort: number) {
  const firestore = await startFirestore();
  useFirestore(firestore.address);
  const parts = assembleQuotaParts({ redisPort, collectionPath: COLLECTION });
  const instances = new Map<FunctionName, FrameworkFunction[]>();
  try {
    await writeProviders(parts.firestore, PROVIDERS);
    for (const name of FUNCTIONS) {
      const params = {
        ...PARAMS,
        EXT_INSTANCE_ID: "load",
        LOCATION: "europe-west1",
        VPC_CONNECTOR: "projects/demo-bench/locations/europe-west1/connectors/redis",
        REDIS_HOST: "127.0.0.1",
        REDIS_PORT: String(redisPort),
        // As in the Functions emulator.
        FIREBASE_DEBUG_MODE: "true",
        FIREBASE_DEBUG_FEATURES: JSON.stringify({ skipTokenVerification: true }),
      };
      const started: FrameworkFunction[] = [];
      instances.set(name, started);
      for (let i = 0; i < INSTANCES; i++) started.push(await startFrameworkFunction(name, params));
    }
    const urlsOf = (name: FunctionName) => instances.get(name)!.map(({ url }) => url);
    const callers = INSTANCES * CALLERS_PER_INSTANCE;
    for (const name of FUNCTIONS) await load(name, urlsOf(name), { callers, forMs: WARM_UP_MS });

    printHeader(`Functions Framework, one function at a time, ${callers} callers`);
    const alone = await loadAll(urlsOf, { callers, forMs: ALONE_MS, together: false });

    const client = new Redis({ port: redisPort });
    // Ours to look at Redis with, and that of the parts once they have been used.
    await parts.service.check(providers[0]!.id);
    const all = [...instances.values()].flat();
    const stopWatching = watch(all, client, 2);
    printHeader(`Functions Framework, all at once for ${MINUTES} min, ${callers} callers each`);
    const together = await loadAll(urlsOf, { callers, forMs: MINUTES * 60_000, together: true });
    const watched = stopWatching();
    client.disconnect();
    const wrong = await differing(parts);
    console.log(
      `\nMemory of the ${all.length} instances, MiB: ${watched.firstMiB.join(" ")} in the first tenth,`,
    );
    console.log(`                                    ${watched.lastMiB.join(" ")} in the last`);
    const growth = Math.max(...watched.firstMiB.map((first, i) => watched.lastMiB[i]! / first));
    console.log(`                                    the most that one has grown: ${growth.toFixed(2)} x`);
    console.log(`Connections to Redis: ${watched.connections} for ${all.length} instances`);
    console.log(`Providers whose usage differs from what was accepted: ${wrong}`);
    return { alone, together, ...watched, growth, instances: all.length, differing: wrong };
  } finally {
    for (const instance of [...instances.values()].flat()) instance.stop();
    await parts.close();
    firestore.stop();
  }
}

async function loadEmulator(redisPort: number) {
  const emulators = await startFirebaseEmulators({
    redisPort,
    params: { ...PARAMS, KEY_PREFIX: "emulated" },
  });
  try {
    useFirestore(emulators.firestoreHost);
    const firestore = new Firestore({ projectId: emulators.projectId });
    await writeProviders(firestore, EMULATOR_PROVIDERS);
    await firestore.terminate();
    const urlsOf = (name: FunctionName) => [emulators.functionUrl(name)];
    const how = { callers: EMULATOR_CALLERS, among: EMULATOR_PROVIDERS };
    for (const name of FUNCTIONS) await load(name, urlsOf(name), { ...how, forMs: WARM_UP_MS });
    printHeader(`Functions emulator, one function at a time, ${EMULATOR_CALLERS} callers`);
    return await loadAll(urlsOf, { ...how, forMs: ALONE_MS, together: false });
  } finally {
    await emulators.stop();
  }
}

console.log(describeMachine());
const redis = await startRedis();
try {
  const framework = await loadFramework(redis.port);
  const emulator = await loadEmulator(redis.port);
  const reports = [framework.alone, framework.together, emulator].flatMap((figures) =>
    Object.values(figures),
  );
  for (const { firstError } of reports) if (firstError) console.log(firstError);
  const errors = reports.reduce((sum, report) => sum + report.errors, 0);
  const isFlat = MINUTES < MEMORY_IS_JUDGED_FROM_MINUTES || framework.growth <= MAX_GROWTH;
  const sound =
    errors === 0 && framework.differing === 0 && framework.connections === framework.instances && isFlat;
  console.log(sound ? "\nSound." : "\nNOT SOUND, see above.");
  if (options.json)
    console.log(JSON.stringify({ bench: "load", minutes: MINUTES, errors, framework, emulator }));
  if (!sound) process.exitCode = 1;
} finally {
  await redis.stop();
}
