import { FirestoreUnavailableError } from "../firestore";
import type { Logs } from "../observability/logs";
import type { QuotaMetrics } from "../observability/metrics";
import type { ApplyOutcome } from "../redis/apply-outcome";
import { RedisUnavailableError } from "../redis/connection";
import { formatValue, InvalidArgumentError } from "../validation";
import { IdempotencyKeyReusedError, recordNames, type CallRecords } from "./call-records";
import { UnknownCallError, type FirestoreQuotaStore } from "./firestore-quota-store";
import { QuotaOutcomeUnknownError, RerunClaimError } from "./outcome-errors";
import {
  assessQuota,
  parseCost,
  parseIdempotencyKey,
  parseProviderId,
  toStatus,
  type Consumption,
  type MissingProvider,
  type Quota,
  type QuotaCall,
  type QuotaSnapshot,
  type QuotaStatus,
} from "./quota";
import type { QuotaSync } from "./quota-sync";
import type { QuotaEntry, RedisQuotaStore } from "./redis-quota-store";

/** Who answered. */
export type QuotaSource = "redis" | "firestore";

/** A status and who answered it. */
export interface QuotaCheck extends QuotaStatus {
  readonly source: QuotaSource;
}

/** A decision and who made it. */
export interface QuotaConsumption extends Consumption {
  readonly source: QuotaSource;
  /** Whether this is the answer of an earlier call with the same idempotency key; this call counted nothing then. */
  readonly replayed: boolean;
}

/** Which store decides: Firestore alone; Firestore, with Redis told at once; or Redis, with Firestore told later. */
export type QuotaMode = "firestore" | "dual-write" | "redis-primary";

export interface QuotaServiceOptions extends MissingProvider {
  readonly mode: QuotaMode;
}

export interface ConsumeOptions {
  /** What the call counts for: a whole number, 1 or more. 1 by default. */
  readonly cost?: number | undefined;
  /**
   * Names the call, so that a repetition has its answer instead of counting again. 1 to 256 characters. A key belongs to
   * one provider and one cost, and is kept for 24 hours. A refund with the key of a call takes back what that call
   * consumed, once.
   */
  readonly idempotencyKey?: string | undefined;
}

/** The call whose repeated run is claimed. */
export interface RerunClaim {
  readonly idempotencyKey: string;
  /** The `source` of the call's answer. */
  readonly source: QuotaSource;
}

/** What was read of Firestore, and what became of it in Redis, if Redis was told. */
interface Load {
  readonly snapshot: QuotaSnapshot;
  readonly fill: ApplyOutcome | "unavailable" | undefined;
}

/** How long an instance in mode firestore believes that Redis holds no usage. */
const SETTLED_FOR_MS = 10_000;

/** How often a call whose entry expires or is invalidated again and again is put to Redis. */
const MAX_ATTEMPTS = 5;

/** Checks, consumes and refunds the quotas of providers, in one of three modes. */
export class QuotaService {
  /** Loads under way: any number of callers that miss the same provider share one Firestore read. */
  private readonly loads = new Map<string, Promise<Load>>();
  /** By `performance.now()`, which nobody sets. */
  private settledUntilMs = 0;

  constructor(
    private readonly redisStore: Pick<
      RedisQuotaStore,
      "read" | "consume" | "apply" | "forget" | "hasDirtyProviders"
    > & {
      readonly records: CallRecords;
    },
    private readonly firestoreStore: Pick<FirestoreQuotaStore, "read" | "consume" | "rememberUnknown"> & {
      readonly records: CallRecords;
    },
    private readonly sync: Pick<QuotaSync, "flush">,
    private readonly options: QuotaServiceOptions,
    private readonly logs: Logs,
    private readonly metrics: QuotaMetrics,
  ) {}

  /**
   * Tells whether a provider has quota left. When Redis gives no answer, Firestore does.
   *
   * @throws InvalidProviderIdError
   * @throws FirestoreUnavailableError when Firestore must be read and gives no answer.
   * @throws InvalidQuotaDocumentError when the document must be read and holds no valid quota.
   */
  async check(providerId: string): Promise<QuotaCheck> {
    parseProviderId(providerId);
    if (this.options.mode === "firestore") {
      await this.settle(providerId);
      return this.checkFirestore(providerId, { fillCache: false });
    }
    for (let attempt = 1; ; attempt++) {
      let entry: QuotaEntry;
      try {
        entry = await this.redisStore.read(providerId);
      } catch (error) {
        this.bypass(providerId, error);
        this.metrics.fallback();
        return this.checkFirestore(providerId, { fillCache: false });
      }
      if (entry.kind !== "miss") {
        if (attempt === 1) this.metrics.hit();
        return { ...this.assess(entry), source: attempt === 1 ? "redis" : "firestore" };
      }
      if (attempt === 1) this.metrics.miss();
      const { snapshot, fill } = await this.load(providerId, { fillCache: true });
      const isFilled = fill === "applied" || fill === "superseded";
      // Usage that Firestore does not have yet is in the entry that has just been filled.
      if (!entry.hasUnsynced || !isFilled || attempt === MAX_ATTEMPTS) return this.assessSnapshot(snapshot);
    }
  }

  /**
   * Counts a call of a provider if its quota allows it. A refusal counts nothing.
   *
   * @throws InvalidProviderIdError, InvalidCostError, InvalidIdempotencyKeyError
   * @throws IdempotencyKeyReusedError when the idempotency key came with another cost before.
   * @throws QuotaOutcomeUnknownError when the store that decides was asked and its answer did not arrive.
   * @throws FirestoreUnavailableError when Firestore has to decide, or must be read, and gives no answer.
   * @throws InvalidQuotaDocumentError when the document must be read and holds no valid quota.
   */
  async consume(
    providerId: string,
    { cost = 1, idempotencyKey }: ConsumeOptions = {},
  ): Promise<QuotaConsumption> {
    return this.decide(providerId, parseCost(cost), idempotencyKey);
  }

  /**
   * Takes back what a call counted for, but no more than has been used. With an idempotency key it takes back what
   * `consume` counted with that key: at most that cost, and only once. If the key has consumed nothing, `allowed` is
   * false and nothing is taken back.
   *
   * @throws as {@link consume}
   * @throws RedisUnavailableError in mode redis-primary, when only Redis may know what the key consumed.
   */
  async refund(
    providerId: string,
    { cost = 1, idempotencyKey }: ConsumeOptions = {},
  ): Promise<QuotaConsumption> {
    const call = { providerId, cost: -parseCost(cost), idempotencyKey };
    const decision = await this.decide(providerId, call.cost, idempotencyKey);
    if (decision.allowed || idempotencyKey === undefined) return decision;
    // The other store may have counted the call, before `MODE` changed or while Redis was unavailable.
    const other = await (decision.source === "redis"
      ? this.refundInFirestore(call)
      : this.refundInRedis(call));
    return other?.allowed ? other : decision;
  }

  /**
   * Drops what Redis has cached of a provider's document, so that the next check reads Firestore. Usage in Redis that
   * Firestore does not have yet is kept.
   *
   * @throws InvalidProviderIdError
   * @throws RedisUnavailableError when Redis gives no answer; safe to repeat.
   * @throws FirestoreUnavailableError, InvalidQuotaDocumentError when usage of a provider without a document in Redis
   * must be brought to Firestore first, and cannot; safe to repeat.
   */
  async invalidate(providerId: string): Promise<void> {
    parseProviderId(providerId);
    if (this.options.mode === "firestore") return;
    // Loads that have begun neither answer later calls nor fill the entry.
    this.loads.delete(providerId);
    const isForgotten = await this.redisStore.forget(providerId);
    // Flushed usage makes the document, and the entry then has what is read of it.
    if (!isForgotten) await this.flush(providerId);
  }

  /**
   * Claims the repeated run that an idempotency key allows, and returns whether it was free. `withQuota` claims it for
   * the handler of a repeated call, and when the first run has finished: so a handler runs at most twice for one call.
   *
   * @throws InvalidProviderIdError, InvalidIdempotencyKeyError, InvalidArgumentError
   * @throws RerunClaimError when the store gives no answer.
   */
  async claimRerun(providerId: string, { idempotencyKey, source }: RerunClaim): Promise<boolean> {
    parseProviderId(providerId);
    parseIdempotencyKey(idempotencyKey);
    if (source !== "redis" && source !== "firestore")
      throw new InvalidArgumentError("source", "redis or firestore", formatValue(source));
    const { records } = source === "redis" ? this.redisStore : this.firestoreStore;
    try {
      return await records.claim(providerId, recordNames.rerun(idempotencyKey));
    } catch (error) {
      if (!(error instanceof RedisUnavailableError || error instanceof FirestoreUnavailableError))
        throw error;
      this.logs.rerunNotClaimed(providerId, error);
      throw new RerunClaimError(idempotencyKey, error);
    }
  }

  private async refundInFirestore(call: QuotaCall): Promise<QuotaConsumption> {
    // So that the answer has what Redis has counted.
    await this.orBypass(call.providerId, () => this.flush(call.providerId));
    return this.decideInFirestore(call, { fillCache: true });
  }

  private async refundInRedis(call: QuotaCall): Promise<QuotaConsumption | undefined> {
    const { providerId } = call;
    let decision: QuotaConsumption | undefined;
    try {
      decision = await this.askRedis(call);
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      if (error.outcome === "unknown") throw new QuotaOutcomeUnknownError(call.idempotencyKey, error);
      if (this.options.mode === "redis-primary") throw error;
      this.bypass(providerId, error);
    }
    if (decision?.allowed) await this.orBypass(providerId, () => this.flush(providerId));
    return decision;
  }

  private async decide(providerId: string, cost: number, idempotencyKey?: string): Promise<QuotaConsumption> {
    parseProviderId(providerId);
    if (idempotencyKey !== undefined) parseIdempotencyKey(idempotencyKey);
    const call = { providerId, cost, idempotencyKey };
    switch (this.options.mode) {
      case "redis-primary":
        return this.decideInRedis(call);
      case "dual-write": {
        const flushed = await this.orBypass(providerId, () => this.flush(providerId));
        // Who has waited for Redis in vain once does not wait again; the document's event tells Redis.
        return this.decideInFirestore(call, { fillCache: flushed !== "unavailable" });
      }
      case "firestore":
        await this.settle(providerId);
        return this.decideInFirestore(call, { fillCache: false });
    }
  }

  private async decideInRedis(call: QuotaCall): Promise<QuotaConsumption> {
    try {
      const decision = await this.askRedis(call);
      if (decision) return decision;
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      if (error.outcome === "unknown") return this.reportUnknown(call, error);
      this.logs.quotaCacheBypassed(call.providerId, error);
      this.metrics.fallback();
    }
    return this.decideInFirestore(call, { fillCache: false });
  }

  /** Returns undefined if Redis misses the provider again and again. @throws RedisUnavailableError */
  private async askRedis(call: QuotaCall): Promise<QuotaConsumption | undefined> {
    const { providerId } = call;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const outcome = await this.redisStore.consume(call);
      if (outcome.kind === "key-reused") throw new IdempotencyKeyReusedError(call, outcome.recordedCost);
      if (outcome.kind !== "miss") {
        if (attempt === 0) this.metrics.hit();
        const { kind, found, replayed } = outcome;
        return { allowed: kind === "accepted", ...toStatus(outcome, found), source: "redis", replayed };
      }
      if (attempt === 0) this.metrics.miss();
      const { fill } = await this.load(providerId, { fillCache: true });
      // A key is known to the store that decides, so that no other may while Redis might: it is asked once more.
      const givesUp = fill === "unavailable" && call.idempotencyKey === undefined;
      if (givesUp) this.metrics.fallback();
      // Redis would be waited for in vain again, or miss it again.
      if (givesUp || fill === "late") break;
      // Invalidated again and again: Firestore decides, and needs what Redis has counted.
      if (attempt === MAX_ATTEMPTS - 1) await this.orBypass(providerId, () => this.flush(providerId));
    }
    return undefined;
  }

  private async reportUnknown(call: QuotaCall, cause: RedisUnavailableError): Promise<never> {
    // Whatever becomes of the record, Redis may have counted the call. Each store refunds only what it has counted.
    if (call.cost > 0)
      await this.orLog(() => this.firestoreStore.rememberUnknown(call)).catch(() => undefined);
    throw new QuotaOutcomeUnknownError(call.idempotencyKey, cause);
  }

  private async decideInFirestore(
    call: QuotaCall,
    { fillCache }: { readonly fillCache: boolean },
  ): Promise<QuotaConsumption> {
    const decision = await this.orLog(() => this.firestoreStore.consume(call)).catch((error: Error) => {
      const unknown =
        error instanceof UnknownCallError ||
        (error instanceof FirestoreUnavailableError && error.outcome === "unknown");
      throw unknown ? new QuotaOutcomeUnknownError(call.idempotencyKey, error) : error;
    });
    const { allowed, found, replayed, snapshot } = decision;
    if (fillCache && snapshot) await this.fill(call.providerId, snapshot);
    return { allowed, ...toStatus(decision, found), source: "firestore", replayed };
  }

  private async checkFirestore(
    providerId: string,
    how: { readonly fillCache: boolean },
  ): Promise<QuotaCheck> {
    const { snapshot } = await this.load(providerId, how);
    return this.assessSnapshot(snapshot);
  }

  private assessSnapshot({ quota }: QuotaSnapshot): QuotaCheck {
    return { ...assessQuota(quota, this.options), source: "firestore" };
  }

  private assess(entry: Exclude<QuotaEntry, { kind: "miss" }>): QuotaStatus {
    const quota: Quota | undefined = entry.kind === "snapshot" ? entry.quota : undefined;
    return assessQuota(quota, this.options, entry.kind === "tombstone" ? entry.used : 0);
  }

  /**
   * Brings a provider's usage from Redis to Firestore before Firestore decides, after the mode was redis-primary. Once
   * Redis holds no usage at all, it is not asked for some time; nor when it gives no answer, as the way back to
   * Firestore must not depend on it.
   */
  private async settle(providerId: string): Promise<void> {
    if (performance.now() < this.settledUntilMs) return;
    const settled = await this.orBypass(providerId, async () => {
      if (!(await this.redisStore.hasDirtyProviders())) return true;
      await this.flush(providerId);
      return false;
    });
    if (settled !== false) this.settledUntilMs = performance.now() + SETTLED_FOR_MS;
  }

  /** @throws what keeps the provider's usage from Firestore, which then cannot decide rightly. */
  private async flush(providerId: string): Promise<void> {
    const failure = (await this.sync.flush([providerId])).get(providerId);
    if (failure) throw failure;
  }

  private load(providerId: string, { fillCache }: { readonly fillCache: boolean }): Promise<Load> {
    const underWay = this.loads.get(providerId);
    if (underWay) return underWay;
    const isCurrent = (): boolean => this.loads.get(providerId) === load;
    const load: Promise<Load> = this.readThrough(providerId, () => fillCache && isCurrent()).finally(() => {
      if (isCurrent()) this.loads.delete(providerId);
    });
    this.loads.set(providerId, load);
    return load;
  }

  private async readThrough(providerId: string, fillsCache: () => boolean): Promise<Load> {
    const snapshot = await this.orLog(() => this.firestoreStore.read(providerId));
    return { snapshot, fill: fillsCache() ? await this.fill(providerId, snapshot) : undefined };
  }

  private async fill(providerId: string, snapshot: QuotaSnapshot): Promise<Load["fill"]> {
    const outcome = await this.orBypass(providerId, () => this.redisStore.apply(providerId, snapshot));
    if (outcome === "late") this.logs.redisClockAhead(providerId);
    return outcome;
  }

  private async orLog<T>(useFirestore: () => Promise<T>): Promise<T> {
    try {
      return await useFirestore();
    } catch (error) {
      if (error instanceof FirestoreUnavailableError) this.logs.firestoreUnavailable(error);
      throw error;
    }
  }

  private async orBypass<T>(providerId: string, useRedis: () => Promise<T>): Promise<T | "unavailable"> {
    try {
      return await useRedis();
    } catch (error) {
      this.bypass(providerId, error);
      return "unavailable";
    }
  }

  /** @throws what is no failure of Redis */
  private bypass(providerId: string, error: unknown): void {
    if (!(error instanceof RedisUnavailableError)) throw error;
    this.logs.quotaCacheBypassed(providerId, error);
  }
}
