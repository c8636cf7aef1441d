import { LRUCache } from "lru-cache";

import type { Keys } from "../redis/keys";
import { blockSubject, resetSubject, takeLimit, takeLimits } from "../redis/lua.generated";
import type { RedisServers } from "../redis/redis-servers";
import { asBytes, asOneOf, UnexpectedReplyError } from "../redis/reply";
import { runScript, runScriptForBuffer } from "../redis/script";
import { decide, type Decision, type RateLimitRequest } from "./decision";
import {
  advance,
  emptyEntry,
  shapeOf,
  type Algorithm,
  type RateLimitEntry,
  type SubjectLimits,
} from "./limit-algorithms";
import type { Referee, SharedRateLimitStore } from "./rate-limit-store";
import { RequestBatcher, type Asker, type Operation, type RequestGroup } from "./request-batcher";

const OPERATIONS: Readonly<Record<Operation, number>> = { peek: 0, take: 1, refund: 2 };

const ALGORITHMS: Readonly<Record<Algorithm, number>> = {
  "fixed-window": 1,
  "sliding-window": 2,
  "token-bucket": 3,
};

const BYTES_PER_NUMBER = 8;

/** Refused subjects remembered at most. */
const MAX_REFUSALS = 10_000;

/** How long a refusal is remembered at most: another instance may have refunded, reset or unblocked meanwhile. */
const MAX_REFUSAL_AGE_MS = 1000;

/** An entry by which a request was refused, as it was at `nowMs` by Redis's clock. */
interface Refusal {
  readonly limits: SubjectLimits;
  readonly entry: RateLimitEntry;
  readonly nowMs: number;
  /** By this process's monotonic clock, when Redis was asked. */
  readonly askedMs: number;
}

/** What a script is told of the limits of a subject. */
interface ScriptLimits {
  /** By bucket. */
  readonly keys: (readonly string[])[];
  readonly args: readonly string[];
}

/**
 * Counts in Redis, shared by all instances, on Redis's own clock. Throws RedisUnavailableError.
 *
 * Who was refused is refused again without asking Redis, until the request could be allowed: what others charge meanwhile
 * can only make a refusal stronger.
 */
export class RedisRateLimitStore implements SharedRateLimitStore {
  private readonly refusals = new LRUCache<string, Refusal>({ max: MAX_REFUSALS });
  private readonly requests: RequestBatcher;
  private readonly bucketOf: (subject: string) => number;
  private readonly scriptLimits = new WeakMap<SubjectLimits, ScriptLimits>();

  constructor(
    private readonly redis: RedisServers,
    private readonly keys: Keys,
    /** A clock that is never set, in milliseconds. */
    private readonly monotonicMs: () => number = () => performance.now(),
  ) {
    // Where no cluster asks for several, all subjects share one bucket: a batch then needs few commands.
    this.bucketOf = redis.isCluster ? (subject) => keys.bucketOf(subject) : () => 0;
    this.requests = new RequestBatcher(
      (groups) => this.run(groups),
      (groups, reply, sentMs) => this.deal(groups, reply, sentMs),
      this.bucketOf,
      monotonicMs,
    );
  }

  take(
    limits: SubjectLimits,
    subject: string,
    request: RateLimitRequest,
    referee?: Referee,
  ): Promise<Decision> {
    const { cost, peek } = request;
    const remembered = this.refusals.size > 0 ? this.refuseAgain(limits, subject, cost) : undefined;
    if (remembered === undefined)
      return this.requests.ask(limits, subject, peek ? "peek" : "take", cost, referee);
    referee?.decided(limits, request, "redis", 0, 1);
    return Promise.resolve(remembered);
  }

  async refund(limits: SubjectLimits, subject: string, cost: number): Promise<void> {
    await this.change(limits, subject, () => this.requests.ask(limits, subject, "refund", cost));
  }

  async reset(limits: SubjectLimits, subject: string): Promise<void> {
    const [blocks, ...hashes] = this.keysOf(limits, this.bucketOf(subject));
    await this.change(limits, subject, () =>
      runScript(this.redis, resetSubject, { blocks: blocks!, hashes, subject }, asNothing),
    );
  }

  async block(limits: SubjectLimits, subject: string, untilMs: number): Promise<void> {
    const blocks = this.keys.blocks(this.bucketOf(subject), limits.counts);
    await this.change(limits, subject, () =>
      runScript(this.redis, blockSubject, { blocks, subject, untilMs: Math.ceil(untilMs) }, asNothing),
    );
  }

  private run(groups: readonly RequestGroup[]): Promise<Buffer> {
    const script = groups[0]!.limits.limits.length === 1 ? takeLimit : takeLimits;
    const hashes: string[] = [];
    const args: (string | number)[] = [];
    for (const { limits, operation, cost, bucket, requests } of groups) {
      hashes.push(...this.keysOf(limits, bucket));
      const repeated: number[] = [];
      for (let i = 0; i < requests.length; i++)
        if (requests[i]!.times > 1) repeated.push(i + 1, requests[i]!.times);
      const { args: ofLimits } = this.ofLimits(limits);
      args.push(requests.length, repeated.length / 2, cost, OPERATIONS[operation], ...ofLimits);
      for (const { subject } of requests) args.push(subject);
      args.push(...repeated);
    }
    return runScriptForBuffer(this.redis, script, { hashes, groups: args }, (reply) =>
      asNumbersOf(groups, reply),
    );
  }

  private deal(groups: readonly RequestGroup[], reply: Buffer, askedMs: number): void {
    let at = BYTES_PER_NUMBER;
    for (const group of groups) at = this.dealGroup(group, reply, at, askedMs);
  }

  /**
   * What the script did with each record is done again with what it was before, and so each request gets its answer.
   *
   * @param numbers the reply: little-endian doubles
   * @param at where the group begins in it
   * @returns where the next one does
   */
  private dealGroup(
    { limits, operation, cost, referee, requests }: RequestGroup,
    numbers: Buffer,
    at: number,
    askedMs: number,
  ): number {
    const nowMs = numbers.readDoubleLE(0);
    const hasBlocks = numbers.readDoubleLE(at) === 1;
    const blocksAt = at + BYTES_PER_NUMBER;
    const limitsAt = blocksAt + (hasBlocks ? BYTES_PER_NUMBER * requests.length : 0);
    const bytesPerLimit = BYTES_PER_NUMBER * (1 + 2 * requests.length);
    const request = { cost, peek: operation !== "take" };
    const entry = emptyEntry(limits);
    let allowed = 0;
    let refused = 0;
    for (let i = 0; i < requests.length; i++) {
      entry[0] = hasBlocks ? numbers.readDoubleLE(blocksAt + BYTES_PER_NUMBER * i) : 0;
      for (let j = 0, to = 1; j < limits.limits.length; j++, to += 3) {
        const limitAt = limitsAt + bytesPerLimit * j;
        const recordAt = limitAt + BYTES_PER_NUMBER * (1 + 2 * i);
        const other = numbers.readDoubleLE(recordAt + BYTES_PER_NUMBER);
        const { algorithm, unitMs } = limits.limits[j]!;
        const isBucket = algorithm === "token-bucket";
        entry[to] = isBucket ? other * unitMs : numbers.readDoubleLE(limitAt);
        entry[to + 1] = numbers.readDoubleLE(recordAt);
        entry[to + 2] = isBucket ? 0 : other;
      }
      const first = requests[i]!;
      advance(limits, entry, nowMs);
      let isAllowed = true;
      for (let asker: Asker | undefined = first; asker !== undefined; asker = asker.next) {
        const decision = decide(limits, entry, request, nowMs, "redis");
        isAllowed = decision.allowed;
        if (isAllowed) allowed++;
        else refused++;
        asker.resolve(decision);
      }
      if (!isAllowed && operation !== "refund")
        this.refusals.set(memoryKey(limits, first.subject), { limits, entry: entry.slice(), nowMs, askedMs });
    }
    referee?.decided(limits, request, "redis", allowed, refused);
    return limitsAt + bytesPerLimit * limits.limits.length;
  }

  /** The refusal that follows from one remembered, if one does. */
  private refuseAgain(limits: SubjectLimits, subject: string, cost: number): Decision | undefined {
    const key = memoryKey(limits, subject);
    const refusal = this.refusals.get(key);
    if (refusal === undefined) return undefined;
    const ageMs = this.monotonicMs() - refusal.askedMs;
    if (refusal.limits === limits && ageMs < MAX_REFUSAL_AGE_MS) {
      const entry = refusal.entry.slice();
      // Not earlier than Redis's clock says, so that nobody is refused whom Redis would allow.
      const nowMs = refusal.nowMs + Math.ceil(ageMs);
      advance(limits, entry, nowMs);
      const decision = decide(limits, entry, { cost, peek: true }, nowMs, "redis");
      if (!decision.allowed) return decision;
    }
    this.refusals.delete(key);
    return undefined;
  }

  /** What makes a refusal wrong; also when it fails, as it may have been done. */
  private async change(limits: SubjectLimits, subject: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } finally {
      this.refusals.delete(memoryKey(limits, subject));
    }
  }

  private keysOf(limits: SubjectLimits, bucket: number): readonly string[] {
    const { counts } = limits;
    return (this.ofLimits(limits).keys[bucket] ??= [
      this.keys.blocks(bucket, counts),
      ...limits.limits.flatMap((each) => this.keys.charges(bucket, counts, shapeOf(each))),
    ]);
  }

  private ofLimits(limits: SubjectLimits): ScriptLimits {
    let known = this.scriptLimits.get(limits);
    if (known === undefined) {
      const { blockedUntilMs } = limits;
      const numbers = limits.limits.flatMap(({ algorithm, limit, windowMs, capacity, spanMs, unitMs }) => [
        ALGORITHMS[algorithm],
        limit,
        windowMs / unitMs,
        capacity,
        spanMs,
        unitMs,
      ]);
      known = { keys: [], args: [blockedUntilMs, limits.limits.length, ...numbers].map(String) };
      this.scriptLimits.set(limits, known);
    }
    return known;
  }
}

const asNothing = (reply: unknown) => asOneOf([null], reply);

/** The numbers of these groups, as many as {@link RedisRateLimitStore} reads. */
function asNumbersOf(groups: readonly RequestGroup[], reply: unknown): Buffer {
  const numbers = asBytes(reply);
  let bytes = BYTES_PER_NUMBER;
  for (const { limits, requests } of groups) {
    if (numbers.length < bytes + BYTES_PER_NUMBER)
      throw new UnexpectedReplyError("a number for each record", reply);
    const blocks = numbers.readDoubleLE(bytes) === 1 ? requests.length : 0;
    bytes += BYTES_PER_NUMBER * (1 + blocks + limits.limits.length * (1 + 2 * requests.length));
  }
  return asBytes(numbers, bytes);
}

function memoryKey({ counts, shape }: SubjectLimits, subject: string): string {
  return `${counts}:${shape}:${subject}`;
}
