import { randomInt, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { FirestoreUnavailableError } from "../../functions/dist/firestore.js";
import { QuotaOutcomeUnknownError } from "../../functions/dist/quota/outcome-errors.js";
import type { QuotaMode } from "../../functions/dist/quota/quota-service.js";
import type { SessionData } from "../../functions/dist/session/session-data.js";
import { Ledger, type PendingCall } from "./ledger.ts";
import { POLICIES, RateLimitTally } from "./rate-limit-tally.ts";
import type { Stage } from "./stage.ts";

const CALLERS = 32;
/** So many of them ask for rate limits only: calls that wait for Firestore do not keep all from asking. */
const LIMIT_CALLERS = 4;
const WIDE_PROVIDERS = 40;
/** Few enough that they use up their quotas, which is where a store that is wrong shows. */
const TIGHT_PROVIDERS = 8;
const WIDE_LIMIT = 1_000_000;
const TIGHT_LIMIT = 60;
const SUBJECTS = 4;
const SESSIONS = 8;
const MAX_PAUSE_MS = 16;
/** A call with a key is repeated until it has an answer, for so long. */
const REPEAT_FOR_MS = 15_000;
const REPEAT_AFTER_MS = 50;

export type Source = "redis" | "firestore" | "local" | "open" | "closed";

/** What callers were told. */
export interface Answers {
  readonly bySource: Record<Source, number>;
  /** Calls that may have been counted, as the caller was told. */
  unknown: number;
  /** Calls for which Firestore was needed and gave no answer, as the caller was told. */
  unavailable: number;
  slowestMs: number;
  /** Of rate limits, which wait for nobody but Redis. */
  slowestLimitMs: number;
}

/** One answer that came: of which store, and when, by `performance.now()`. */
interface Arrival {
  readonly source: Source;
  readonly askedMs: number;
  readonly answeredMs: number;
}

const noAnswers = (): Answers => ({
  bySource: { redis: 0, firestore: 0, local: 0, open: 0, closed: 0 },
  unknown: 0,
  unavailable: 0,
  slowestMs: 0,
  slowestLimitMs: 0,
});
const any = <T>(values: readonly T[]): T => values[randomInt(values.length)]!;
const chance = (probability: number): boolean => Math.random() < probability;

/** Callers that ask again and again for quotas, rate limits and sessions, and judge each answer. */
export class Callers {
  readonly ledgers: readonly Ledger[];
  /** What was wrong with answers, each in words. */
  readonly wrong: string[] = [];
  answers = noAnswers();
  /** Told of each answer that came. */
  onArrival: (arrival: Arrival) => void = () => {};
  readonly #stage: Stage;
  readonly #tallies: readonly RateLimitTally[];
  readonly #sessions: ReadonlyMap<string, SessionData>;
  #asking = false;
  #asked: Promise<unknown> = Promise.resolve();

  constructor(stage: Stage, mode: QuotaMode, redisForgets: boolean) {
    this.#stage = stage;
    const ledger = (id: string, limit: number) => new Ledger(id, limit, mode === "dual-write");
    this.ledgers = [
      ...Array.from({ length: WIDE_PROVIDERS }, (_, i) => ledger(`wide-${i}`, WIDE_LIMIT)),
      ...Array.from({ length: TIGHT_PROVIDERS }, (_, i) => ledger(`tight-${i}`, TIGHT_LIMIT)),
    ];
    this.#tallies = POLICIES.flatMap((policy) =>
      Array.from({ length: SUBJECTS }, (_, i) => new RateLimitTally(policy, `subject-${i}`, redisForgets)),
    );
    // In redis-primary Redis alone has sessions, and nobody else can answer for it.
    const sessions = mode === "dual-write" ? SESSIONS : 0;
    this.#sessions = new Map(Array.from({ length: sessions }, (_, i) => [`session-${i}`, { uid: `u${i}` }]));
  }

  /** Writes the documents and sessions that the callers ask for. */
  async prepare(): Promise<void> {
    const { direct, collection, instances } = this.#stage;
    const batch = direct.firestore.batch();
    for (const { id, limit } of this.ledgers) {
      batch.set(direct.firestore.collection(collection).doc(id), { aiCallsUsed: 0, aiCallsLimit: limit });
    }
    await batch.commit();
    for (const [id, data] of this.#sessions) await instances[0]!.sessionService.set(id, data);
  }

  start(): void {
    this.#asking = true;
    this.#asked = Promise.all(Array.from({ length: CALLERS }, (_, i) => this.#askUntilStopped(i)));
  }

  /** Stops asking, and waits until every call has ended. */
  async stop(): Promise<void> {
    this.#asking = false;
    await this.#asked;
  }

  /** What they were told since the last time. */
  takeAnswers(): Answers {
    const { answers } = this;
    this.answers = noAnswers();
    return answers;
  }

  async #askUntilStopped(caller: number): Promise<void> {
    const instance = caller % this.#stage.instances.length;
    while (this.#asking) {
      const what = Math.random();
      if (caller < LIMIT_CALLERS) await this.#limit(instance);
      else if (what < 0.5) await this.#consume(instance);
      else if (what < 0.75) await this.#check(instance);
      else if (what < 0.95 || this.#sessions.size === 0) await this.#limit(instance);
      else await this.#readSession(instance);
      await sleep(randomInt(MAX_PAUSE_MS));
    }
  }

  #anyLedger(): Ledger {
    return any(chance(0.25) ? this.ledgers.slice(WIDE_PROVIDERS) : this.ledgers.slice(0, WIDE_PROVIDERS));
  }

  async #consume(instance: number): Promise<void> {
    const { quotaService } = this.#stage.instances[instance]!;
    const ledger = this.#anyLedger();
    const cost = randomInt(1, 3);
    const idempotencyKey = chance(0.2) ? randomUUID() : undefined;
    const call = ledger.begin(cost);
    const untilMs = performance.now() + REPEAT_FOR_MS;
    for (;;) {
      const outcome = await this.#ask(() => quotaService.consume(ledger.id, { cost, idempotencyKey }));
      if (outcome.answer) return this.#judge(ledger.consumed(call, outcome.answer));
      if (outcome.failure === "unavailable") return ledger.end(call);
      if (idempotencyKey === undefined || performance.now() > untilMs) return ledger.giveUp(call);
      await sleep(REPEAT_AFTER_MS);
    }
  }

  async #check(instance: number): Promise<void> {
    const ledger = this.#anyLedger();
    const call: PendingCall = ledger.begin(0);
    const { answer } = await this.#ask(() => this.#stage.instances[instance]!.quotaService.check(ledger.id));
    if (answer) this.#judge(ledger.checked(call, answer));
    else ledger.end(call);
  }

  async #limit(instance: number): Promise<void> {
    const tally = any(this.#tallies);
    const { rateLimiter } = this.#stage.instances[instance]!;
    tally.begin();
    const askedMs = performance.now();
    const { answer } = await this.#ask(() => rateLimiter.check(tally.policy.name, tally.subject));
    this.answers.slowestLimitMs = Math.max(this.answers.slowestLimitMs, performance.now() - askedMs);
    if (answer) this.#judge(tally.decided(instance, answer));
    else this.#judge(["a rate limit had no answer"]);
  }

  async #readSession(instance: number): Promise<void> {
    const [id, data] = any([...this.#sessions]);
    const { sessionService } = this.#stage.instances[instance]!;
    const { answer, failure } = await this.#ask(async () => {
      const found = await sessionService.get(id);
      return found ?? { data: undefined, source: "redis" as const };
    });
    if (failure !== undefined) return;
    if (JSON.stringify(answer?.data) !== JSON.stringify(data))
      this.#judge([`${id} is ${JSON.stringify(answer?.data)}`]);
  }

  /** Asks, and counts the answer, or the failure that the caller was told of. Any other error is a wrong answer. */
  async #ask<T extends { readonly source: Source }>(
    question: () => Promise<T>,
  ): Promise<{ answer?: T; failure?: "unknown" | "unavailable" }> {
    const askedMs = performance.now();
    try {
      const answer = await question();
      const answeredMs = performance.now();
      this.answers.bySource[answer.source]++;
      this.onArrival({ source: answer.source, askedMs, answeredMs });
      return { answer };
    } catch (error) {
      if (error instanceof QuotaOutcomeUnknownError) {
        this.answers.unknown++;
        return { failure: "unknown" };
      }
      this.answers.unavailable++;
      if (!(error instanceof FirestoreUnavailableError)) this.#judge([String((error as Error).stack)]);
      return { failure: "unavailable" };
    } finally {
      this.answers.slowestMs = Math.max(this.answers.slowestMs, performance.now() - askedMs);
    }
  }

  #judge(wrong: readonly string[]): void {
    this.wrong.push(...wrong);
  }
}
