import type { Latency } from "../latency.ts";
import type { PolicyDecision, QuotaCall } from "../measured.ts";

/** What the console's server tells its page, by the name of the server-sent event. */
export interface Messages {
  /** Sent to a page that has just connected, and again whenever something of it changes. */
  state: ConsoleState;
  /** The samples so far, to a page that has just connected. */
  history: Sample[];
  /** What happened in the last second. */
  sample: Sample;
  /** The providers of the table, whenever one of them changes in Firestore or in Redis. */
  providers: ProviderRow[];
}

export type QuotaMode = "firestore" | "dual-write" | "redis-primary";

/** Seen from outside: `hung` accepts connections and gives no answer. */
export type RedisState = "starting" | "running" | "hung" | "stopped";

export interface ConsoleState {
  /** What the demo is doing: the controls work from `ready` on. */
  readonly phase: "starting" | "steps" | "ready";
  readonly steps: readonly StepState[];
  readonly redis: RedisState;
  readonly mode: QuotaMode;
  readonly load: boolean;
  /** From the log of syncQuotas; absent until it has run. */
  readonly lastSync?: SyncEnd;
  /** Where the page finds the emulators; absent until they run. */
  readonly app?: AppAddress;
}

export interface StepState {
  readonly title: string;
  readonly status: "waiting" | "running" | "done" | "failed";
  /** How far it has got, in words. */
  readonly progress: string;
  readonly results: readonly StepResult[];
}

export interface StepResult {
  readonly what: string;
  readonly measured: string;
  /** Absent where nothing in particular is expected. */
  readonly holds?: boolean;
}

export interface SyncEnd {
  readonly atMs: number;
  readonly flushed: number;
  readonly failed: number;
  readonly complete: boolean;
  /** Entries compared with their documents after the sync, and those that had missed a change. */
  readonly compared: number;
  readonly drifted: number;
}

/** What the page's Firebase SDK is set up with. */
export interface AppAddress {
  readonly projectId: string;
  readonly authUrl: string;
  readonly functionsPort: number;
  readonly location: string;
  /** The names under which the callables are deployed. */
  readonly functionNames: Readonly<Record<"checkRateLimit" | "consumeQuota" | "getStatus", string>>;
  /** Who the page signs in as: an administrator, who may consume any provider's quota and ask for the status. */
  readonly customToken: string;
  readonly policies: readonly PolicyText[];
}

export interface PolicyText {
  readonly name: string;
  readonly limit: string;
  readonly onRedisFailure: "local" | "open" | "closed";
}

/** One second. Durations are in milliseconds. */
export interface Sample {
  /** When it ended, Unix time in milliseconds. */
  readonly atMs: number;
  /** Quota calls by who answered. */
  readonly calls: Readonly<Record<QuotaCall["source"], number>>;
  /** Quota calls and decisions that ended in an error. */
  readonly errors: number;
  /** Of the calls in this process, by who answered; and of those through the callables. */
  readonly latency: Readonly<Partial<Record<LatencySeries, Latency>>>;
  /** How long changes took from their commit in Firestore to their arrival in Redis. */
  readonly mirrorLag?: Latency;
  readonly decisions: readonly DecisionCount[];
}

export type LatencySeries = QuotaCall["source"] | "callable";

export interface DecisionCount extends PolicyDecision {
  readonly count: number;
}

export interface ProviderRow {
  readonly id: string;
  readonly name: string;
  /** What the document holds; the limit may be the default. Null if there is no document. */
  readonly firestore: { readonly used: number; readonly limit: number } | null;
  /** What Redis holds; `used` includes `pending`, which Firestore lacks. Null for no entry, or no Redis. */
  readonly redis: { readonly used: number; readonly limit: number; readonly pending: number } | null;
}

/** What became of a new limit; `lagMs` is from its commit in Firestore to its arrival in Redis. */
export type LimitOutcome =
  | { readonly outcome: "arrived"; readonly lagMs: number }
  /** It is in Firestore, and was not in Redis within some seconds. */
  | { readonly outcome: "on-its-way" }
  /** Firestore had it already. */
  | { readonly outcome: "unchanged" };

/** What the page asks of the server, by the path below /controls/. */
export interface Controls {
  redis: { ask: { action: "stop" | "hang" | "start" }; answer: { lostCalls: number } };
  mode: { ask: { mode: QuotaMode }; answer: { tookMs: number } };
  load: { ask: { on: boolean }; answer: Record<never, never> };
  sync: { ask: Record<never, never>; answer: SyncEnd };
  limit: {
    ask: { providerId: string; limit: number };
    answer: LimitOutcome;
  };
}
