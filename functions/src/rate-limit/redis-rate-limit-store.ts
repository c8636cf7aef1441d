import { LRUCache } from "lru-cache";

import { Batcher } from "../redis/batcher";
import type { Keys } from "../redis/keys";
import { blockSubject, takeLimit, takeLimits } from "../redis/lua.generated";
import type { RedisServers } from "../redis/redis-servers";
import { runScript, runScriptForBuffer } from "../redis/script";
import { decide, type Decision, type RateLimitRequest } from "./decision";
import {
  advance,
  charge,
  entrySize,
  type Algorithm,
  type RateLimitEntry,
  type SubjectLimits,
} from "./limit-algorithms";
import type { RateLimitStore } from "./rate-limit-store";

interface Question {
  readonly limits: SubjectLimits;
  readonly subject: string;
  readonly operation: Operation;
  readonly cost: number;
}

/** Questions alike about one subject: one entry of the script, with as many answers. */
interface Alike {
  readonly question: Question;
  readonly indexes: number[];
}

const OPERATIONS = { peek: 0, take: 1, refund: 2 } as const;
type Operation = keyof typeof OPERATIONS;

const ALGORITHMS: Readonly<Record<Algorithm, number>> = {
  "fixed-window": 1,
  "sliding-window": 2,
  "token-bucket": 3,
};

const BYTES_PER_NUMBER = 8;

/** So many questions travel as one: with more, few callers would have Node.js and Redis wait for each other. */
const BATCH = 16;

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

/**
 * Counts in Redis, shared by all instances, on Redis's own clock. Throws RedisUnavailableError.
 *
 * Who was refused is refused again without asking Redis, until the request could be allowed: what others charge meanwhile
 * can only make a refusal stronger.
 */
export class RedisRateLimitStore implements RateLimitStore {
  private readonly refusals = new LRUCache<string, Refusal>({ max: MAX_REFUSALS });
  private readonly questions: Batcher<Question, Decision>;

  constructor(
    private readonly redis: RedisServers,
    private readonly keys: Keys,
    /** A clock that is never set, in milliseconds. */
    private readonly monotonicMs: () => number = () => performance.now(),
  ) {
    const bucketOf = redis.isCluster ? ({ subject }: Question) => keys.bucketOf(subject) : undefined;
    this.questions = new Batcher((questions) => this.answer(questions), BATCH, bucketOf);
  }

  take(limits: SubjectLimits, subject: string, { cost, peek }: RateLimitRequest): Promise<Decision> {
    const remembered = this.refusals.size > 0 ? this.refuseAgain(limits, subject, cost) : undefined;
    if (remembered !== undefined) return Promise.resolve(remembered);
    return this.questions.ask({ limits, subject, operation: peek ? "peek" : "take", cost });
  }

  async refund(limits: SubjectLimits, subject: string, cost: number): Promise<void> {
    await this.change(limits, subject, () =>
      this.questions.ask({ limits, subject, operation: "refund", cost }),
    );
  }

  async reset(limits: SubjectLimits, subject: string): Promise<void> {
    const key = this.key(limits, subject);
    await this.change(limits, subject, () => this.redis.runFor(key, (redis) => redis.del(key)));
  }

  async block(limits: SubjectLimits, subject: string, untilMs: number): Promise<void> {
    const entry = this.key(limits, subject);
    const bytes = entrySize(limits) * BYTES_PER_NUMBER;
    await this.change(limits, subject, () =>
      runScript(this.redis, blockSubject, { entry, untilMs: Math.ceil(untilMs), bytes }),
    );
  }

  private async answer(questions: readonly Question[]): Promise<Decision[]> {
    const answers = new Array<Decision>(questions.length);
    const { single, several } = group(questions);
    await Promise.all([
      single.length > 0 && this.run(takeLimit, single, answers),
      several.length > 0 && this.run(takeLimits, several, answers),
    ]);
    return answers;
  }

  private async run(
    script: typeof takeLimit | typeof takeLimits,
    groups: readonly Alike[][],
    answers: Decision[],
  ): Promise<void> {
    const entries: string[] = [];
    const args: number[] = [];
    for (const alikes of groups) {
      const { question, indexes } = alikes[0]!;
      const { limits, cost, operation } = question;
      args.push(alikes.length, indexes.length, cost, OPERATIONS[operation], limits.blockedUntilMs);
      if (script === takeLimits) args.push(limits.limits.length);
      for (const { algorithm, limit, windowMs, capacity } of limits.limits)
        args.push(ALGORITHMS[algorithm], limit, windowMs, capacity);
      for (const { question: each } of alikes) entries.push(this.key(limits, each.subject));
    }
    const askedMs = this.monotonicMs();
    const reply = await runScriptForBuffer(this.redis, script, { entries, groups: args });
    this.deal(groups, numbersOf(reply), askedMs, answers);
  }

  /** What the script did with each entry is done again with what it was before, and so each question gets its answer. */
  private deal(groups: readonly Alike[][], reply: Float64Array, askedMs: number, answers: Decision[]): void {
    const nowMs = reply[0]!;
    let at = 1;
    for (const alikes of groups) {
      const { limits, operation, cost } = alikes[0]!.question;
      const size = entrySize(limits);
      const request = { cost, peek: operation !== "take" };
      for (const { question, indexes } of alikes) {
        const entry: RateLimitEntry = [];
        for (let i = 0; i < size; i++) entry.push(reply[at + i]!);
        at += size;
        advance(limits, entry, nowMs);
        if (operation === "refund") charge(limits, entry, -cost * indexes.length);
        for (const index of indexes) answers[index] = decide(limits, entry, request, nowMs, "redis");
        if (!answers[indexes.at(-1)!]!.allowed && operation !== "refund")
          this.refusals.set(memoryKey(limits, question.subject), { limits, entry, nowMs, askedMs });
      }
    }
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

  private key({ policy, shape }: SubjectLimits, subject: string): string {
    return this.keys.rateLimit(policy, shape, subject);
  }
}

/** Groups of questions alike but for the subject, for the script of one limit and for that of several. */
interface Grouped {
  readonly single: Alike[][];
  readonly several: Alike[][];
}

function group(questions: readonly Question[]): Grouped {
  const kinds = new Map<string, Map<string, Alike>>();
  const ids = new Map<SubjectLimits, number>();
  let last: Question | undefined;
  let kind: Map<string, Alike> | undefined;
  for (const [i, question] of questions.entries()) {
    const { limits, operation, cost, subject } = question;
    if (kind === undefined || limits !== last?.limits || operation !== last.operation || cost !== last.cost) {
      if (!ids.has(limits)) ids.set(limits, ids.size);
      const id = `${ids.get(limits)} ${operation} ${cost}`;
      kind = kinds.get(id);
      if (kind === undefined) kinds.set(id, (kind = new Map()));
      last = question;
    }
    const alike = kind.get(subject);
    if (alike === undefined) kind.set(subject, { question, indexes: [i] });
    else alike.indexes.push(i);
  }
  const grouped: Grouped = { single: [], several: [] };
  for (const each of kinds.values()) {
    const groups = byTimes(each.values());
    const { limits } = groups[0]![0]!.question.limits;
    (limits.length === 1 ? grouped.single : grouped.several).push(...groups);
  }
  return grouped;
}

function byTimes(alikes: Iterable<Alike>): Alike[][] {
  const groups = new Map<number, Alike[]>();
  for (const alike of alikes) {
    const those = groups.get(alike.indexes.length);
    if (those === undefined) groups.set(alike.indexes.length, [alike]);
    else those.push(alike);
  }
  return [...groups.values()];
}

function memoryKey({ policy, shape }: SubjectLimits, subject: string): string {
  return `${policy}:${shape}:${subject}`;
}

function numbersOf(reply: Buffer): Float64Array {
  // A copy, as the numbers must begin at a multiple of 8 bytes; every machine of Cloud Functions is little-endian.
  return new Float64Array(new Uint8Array(reply).buffer);
}
