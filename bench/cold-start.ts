/**
 * What does a new instance of a function pay, compared with one of a bare callable?
 *
 *   npm run bench -- cold-start [--json]
 *
 * - extension.load, kit.load: does it take longer to load what is deployed, for `checkRateLimit`, than a callable of
 *   firebase-functions that initialises firebase-admin and its Firestore client? (at most 1.25 times)
 * - extension.first-call, kit.first-call: and to load it and answer its first call, which opens the connection to Redis?
 *   The bare callable asks nobody. (at most 1.25 times)
 * - checkQuota.*, consumeQuota.*: the same for these callables of the kit, with a quota in Redis and in MODE redis-primary,
 *   so that Redis alone is asked. The caller is signed in; the token is read, not verified, which takes Google's keys.
 *   (at most 1.25 times)
 * - sdk.load, sdk.first-call: the same for the SDK, and for an app's callable that checks a quota with it. (at most 1.25
 *   times)
 *
 * Then the same against a callable of an app that does not use Firestore, as it is what these functions use least.
 *
 * Every figure is of a process of its own. In each run every kind of instance has its turn, after one turn that is not
 * counted, so that the disk cache holds the files of all. The ratio is the median of the runs' ratios. `--json` prints
 * the ratios as the last line.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startRedis } from "../scripts/redis-server.mjs";
import { ComparisonTable } from "./lib/comparison.ts";
import { type InstanceCosts, measureInstance } from "./lib/function-instance.ts";
import { describeMachine } from "./lib/machine.ts";
import { assembleQuotaParts } from "./lib/quota-parts.ts";

const { values: options } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const RUNS = 10;
const GOAL = { atMost: 1.25 };

const fromHere = (path: string) => join(import.meta.dirname, path);
const INDEX = fromHere("../functions/dist/index.js");
const POLICY = { name: "api", by: "ip", limits: [{ algorithm: "fixed-window", limit: 1000, window: "1 m" }] };

const redis = await startRedis();
const env = {
  ...process.env,
  GCLOUD_PROJECT: "demo-bench",
  LOCATION: "europe-west1",
  VPC_CONNECTOR: "projects/demo-bench/locations/europe-west1/connectors/redis",
  REDIS_HOST: "127.0.0.1",
  REDIS_PORT: String(redis.port),
  REDIS_TIMEOUT_MS: "1000",
  RATE_LIMIT_POLICIES: JSON.stringify([POLICY]),
};
const CALLABLE = "checkRateLimit";
const rateLimited = {
  file: INDEX,
  function: CALLABLE,
  data: { policy: POLICY.name },
  env: { ...env, FUNCTION_TARGET: CALLABLE },
};
const PROVIDER = "provider-1";
/** A callable of the kit that a signed-in provider calls. */
const ofQuotas = (name: string) => ({
  file: INDEX,
  function: name,
  data: { providerId: PROVIDER },
  uid: PROVIDER,
  env: {
    ...env,
    MODE: "redis-primary",
    FUNCTION_TARGET: name,
    FIREBASE_DEBUG_MODE: "true",
    FIREBASE_DEBUG_FEATURES: JSON.stringify({ skipTokenVerification: true }),
  },
});
const app = (name: string) => ({
  file: fromHere(`cold-start/${name}.cjs`),
  function: "answer",
  data: {},
  env,
});

const kinds = {
  extension: { ...rateLimited, env: { ...rateLimited.env, EXT_INSTANCE_ID: "redis-quota" } },
  kit: rateLimited,
  checkQuota: ofQuotas("checkQuota"),
  consumeQuota: ofQuotas("consumeQuota"),
  sdk: app("sdk-callable"),
  bare: app("bare-callable"),
  withoutFirestore: app("callable-without-firestore"),
};
type Kind = keyof typeof kinds;
type Cost = keyof InstanceCosts;

const measured: Record<Kind, InstanceCosts>[] = [];

async function measureAll(): Promise<Record<Kind, InstanceCosts>> {
  const costs: Partial<Record<Kind, InstanceCosts>> = {};
  for (const kind of Object.keys(kinds) as Kind[]) costs[kind] = await measureInstance(kinds[kind]);
  return costs as Record<Kind, InstanceCosts>;
}

async function compare(table: ComparisonTable, peer: Kind, goal: typeof GOAL | undefined): Promise<void> {
  table.printHeader();
  for (const kind of ["extension", "kit", "checkQuota", "consumeQuota", "sdk"] as const) {
    for (const cost of ["load", "first-call"] as const) {
      await table.compare(
        { name: `${kind}.${cost}`, unit: "ms", goal },
        { ours: turns(kind, cost), theirs: turns(peer, cost) },
      );
    }
  }
}

/** What was measured in one run after the other. */
function turns(kind: Kind, cost: Cost): () => Promise<number[]> {
  const costs = measured.map((run) => run[kind][cost]).values();
  return async () => [costs.next().value!];
}

console.log(describeMachine());
try {
  const parts = assembleQuotaParts({ redisPort: redis.port, collectionPath: "providers" });
  const nowMs = Date.now();
  const quota = { used: 0, limit: 100 };
  await parts.redisStore.apply(PROVIDER, {
    quota,
    version: nowMs * 1000,
    asOfMs: nowMs,
    marker: 0,
    created: 0,
  });
  await parts.close();

  await measureAll();
  for (let run = 0; run < RUNS; run++) measured.push(await measureAll());

  const table = new ComparisonTable({ runs: RUNS, turns: 1 });
  console.log(`Medians of ${RUNS} fresh processes each; the peer is a callable with a Firestore client\n`);
  await compare(table, "bare", GOAL);
  console.log("\nThe peer is a callable without a Firestore client\n");
  await compare(new ComparisonTable({ runs: RUNS, turns: 1 }), "withoutFirestore", undefined);
  if (options.json) console.log(JSON.stringify({ bench: "cold-start", ratios: table.ratios }));
} finally {
  await redis.stop();
}
