import type { QuotaCheck, QuotaConsumption, QuotaSource } from "../../functions/dist/quota/quota-service.js";

/** What each store is known to hold of a provider's usage, at least. */
type Floor = Readonly<Record<QuotaSource, number>>;

/** A call under way. `floor` is from when it was asked, or the oldest call was that was then under way. */
export interface PendingCall {
  readonly cost: number;
  readonly floor: Floor;
}

/**
 * What is known of one provider's usage from the answers alone, and by that, which answers are wrong. Its usage lies
 * between what was accepted and that plus the calls whose outcome is unknown.
 */
export class Ledger {
  readonly id: string;
  readonly limit: number;
  readonly accepted: Record<QuotaSource, number> = { redis: 0, firestore: 0 };
  /** Cost of calls that were given up without knowing whether they were counted. */
  unknown = 0;
  #floor: Floor = { redis: 0, firestore: 0 };
  #redisIsTold = true;
  /** What Redis still certainly holds of what calls under way, asked before, expect of it. */
  #redisKeeps = Number.POSITIVE_INFINITY;
  readonly #tellsRedis: boolean;
  readonly #underWay = new Set<PendingCall>();

  /** @param tellsRedis whether what Firestore counts is told to Redis before the call is answered */
  constructor(id: string, limit: number, tellsRedis: boolean) {
    this.id = id;
    this.limit = limit;
    this.#tellsRedis = tellsRedis;
  }

  get acceptedInAll(): number {
    return this.accepted.redis + this.accepted.firestore;
  }

  /** Firestore holds all that was accepted. */
  synced(): void {
    this.#floor = { ...this.#floor, firestore: this.acceptedInAll };
  }

  /** From now on Redis may lack what it is told; `keeping` is what it certainly holds. */
  redisMayMiss(keeping = this.#floor.redis): void {
    this.#redisIsTold = false;
    this.#redisKeeps = Math.min(keeping, this.#floor.redis);
    this.#floor = { ...this.#floor, redis: this.#redisKeeps };
  }

  begin(cost: number): PendingCall {
    // A check may join a read that another call has begun.
    const [oldest] = this.#underWay;
    const call = { cost, floor: oldest?.floor ?? this.#floor };
    this.#underWay.add(call);
    return call;
  }

  /** Ends a call that counted nothing, or of which that is certain. */
  end(call: PendingCall): void {
    this.#underWay.delete(call);
  }

  giveUp(call: PendingCall): void {
    this.end(call);
    this.unknown += call.cost;
  }

  /** What is wrong with the answer to a consumption. */
  consumed(call: PendingCall, answer: QuotaConsumption): string[] {
    this.end(call);
    const { allowed, used, limit, source } = answer;
    const wrong = this.#inconsistencies(answer);
    if (!allowed) {
      if (this.#most + call.cost <= limit)
        wrong.push(`refused ${call.cost} though at most ${this.#most} of ${limit} was used`);
      return wrong;
    }
    this.accepted[source] += call.cost;
    this.#count(source, call.cost);
    if (used > limit) wrong.push(`accepted as the ${used}th of ${limit}`);
    if (used < call.cost) wrong.push(`accepted ${call.cost} and says that ${used} was used`);
    return wrong;
  }

  /** What is wrong with the answer to a check. */
  checked(call: PendingCall, answer: QuotaCheck): string[] {
    this.end(call);
    const { used, source } = answer;
    const wrong = this.#inconsistencies(answer);
    const least = source === "redis" ? Math.min(call.floor.redis, this.#redisKeeps) : call.floor.firestore;
    if (used < least || used > this.#most)
      wrong.push(`${source} says that ${used} was used, and can only hold ${least} to ${this.#most}`);
    return wrong;
  }

  /** What a store has accepted beyond the limit that it knew, less what it lost. */
  beyondLimit(lost: number): string[] {
    return (["redis", "firestore"] as const)
      .filter((store) => this.accepted[store] - lost > this.limit)
      .map((store) => `${this.id}: ${store} accepted ${this.accepted[store]} of ${this.limit}`);
  }

  get #most(): number {
    let underWay = 0;
    for (const { cost } of this.#underWay) underWay += cost;
    return this.acceptedInAll + this.unknown + underWay;
  }

  #count(source: QuotaSource, cost: number): void {
    const { redis, firestore } = this.#floor;
    const isTold = this.#redisIsTold && (source === "redis" || this.#tellsRedis);
    this.#floor = {
      redis: isTold ? redis + cost : redis,
      firestore: source === "firestore" ? firestore + cost : firestore,
    };
  }

  #inconsistencies({ hasQuota, used, limit, remaining, found }: QuotaCheck): string[] {
    const wrong: string[] = [];
    if (limit !== this.limit || !found) wrong.push(`limit ${limit}, found ${found}; it is ${this.limit}`);
    if (remaining !== Math.max(0, limit - used))
      wrong.push(`${used} of ${limit} leaves ${remaining}, it says`);
    if (hasQuota !== remaining > 0) wrong.push(`hasQuota ${hasQuota} with ${remaining} remaining`);
    return wrong;
  }
}
