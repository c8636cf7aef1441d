import { isDeepStrictEqual } from "node:util";

import type { DocumentReference, DocumentSnapshot, Firestore } from "@google-cloud/firestore";
import type { Redis } from "ioredis";

import type { Context } from "../../functions/src/context.ts";
import { mirrorQuota } from "../../functions/src/handlers/mirror-quota.ts";
import { FirestoreUnavailableError, toVersion } from "../../functions/src/firestore.ts";
import { parseMarker } from "../../functions/src/quota/quota.ts";
import type { QuotaMode } from "../../functions/src/quota/quota-service.ts";
import { NOT_KNOWN, type StoredQuota } from "../../functions/src/quota/stored-quota.ts";
import { RedisUnavailableError, type RedisConnection } from "../../functions/src/redis/connection.ts";
import { Keys } from "../../functions/src/redis/keys.ts";
import { IDLE, type Actor, type Fault, type Interleaving } from "./interleaving.ts";
import { assembleQuotaParts } from "./quota-parts.ts";
import { storedQuota } from "./stored-quota.ts";
import { nameSteps, steppedFirestore, steppedRedis } from "./stepped-clients.ts";
import { uniquePrefix } from "./test-redis.ts";

const PROVIDER = "p1";

/** What holds for a provider without a document. */
const DEFAULT_LIMIT = 100;

/** An entry outlives the 60 s within which a snapshot may create one; so whatever is older than one that expired is late. */
const LIFE_OF_AN_ENTRY_MS = 120_000;

export interface Clients {
  readonly firestore: Firestore;
  readonly connection: RedisConnection;
  readonly redis: Redis;
}

/** A commit that changed the document. `foreign` is what it added to `used` other than by a flush. */
interface Commit {
  readonly before: DocumentSnapshot;
  readonly after: DocumentSnapshot;
  readonly version: number;
  readonly foreign: number;
}

/** Firestore and Redis at one moment. */
interface State {
  readonly used: number;
  readonly limit: number;
  /** Everything that was ever counted and that no edit discarded: in the document, or on its way to it. */
  readonly total: number;
  /** What Redis decides by; undefined if it must ask Firestore first. */
  readonly known: { readonly used: number; readonly limit: number } | undefined;
  readonly entry: StoredQuota | undefined;
}

type Parts = ReturnType<typeof assembleQuotaParts>;

/**
 * One provider and the processes around it, which take their steps in an interleaving. After every step the books are
 * balanced: only a call or an edit changes what has been counted in all; what Redis decides by is that, less only the
 * foreign commits that it has not seen; and no call is accepted beyond the limit of the store that decided it.
 */
export class QuotaWorld {
  private readonly beside;
  private readonly document: DocumentReference;
  private readonly commits: Commit[] = [];
  private readonly movers = new Map<string, { moved: number; edits: boolean }>();
  private readonly checksAtTheEnd: (() => void)[] = [];
  private readonly bystander: Parts;
  private last!: State;
  private lastDocument!: DocumentSnapshot;
  private expiredAtMs = 0;

  private constructor(
    private readonly clients: Clients,
    private readonly interleaving: Interleaving,
    private readonly onChange: "update" | "invalidate",
  ) {
    const collection = clients.firestore.collection(uniquePrefix());
    this.beside = { collection, keys: new Keys(uniquePrefix()) };
    this.document = collection.doc(PROVIDER);
    this.bystander = this.assemble(clients, "redis-primary");
  }

  /** A provider that has a document with this quota, or none. */
  static async create(
    clients: Clients,
    interleaving: Interleaving,
    quota: { readonly used: number; readonly limit: number } | undefined,
    onChange: "update" | "invalidate" = "update",
  ): Promise<QuotaWorld> {
    const world = new QuotaWorld(clients, interleaving, onChange);
    world.lastDocument = await world.document.get();
    if (quota) await world.document.set({ aiCallsUsed: quota.used, aiCallsLimit: quota.limit });
    world.last = await world.look();
    return world;
  }

  /** What a caller asks for, of an instance of its own. `copies` ask with the same key at once. */
  startCaller(name: string, call: PlannedCall): void {
    const mover = { moved: 0, edits: false };
    const answers: (boolean | "unknown")[] = [];
    const idempotencyKey = call.keyed ? name : undefined;
    for (let copy = 1; copy <= (call.keyed ? call.copies : 1); copy++) {
      const actor = this.interleaving.actor(`${name}.${copy}`, copy === 1 ? call.faults : undefined);
      this.movers.set(actor.name, mover);
      const { service } = this.assemble(this.steppedClients(actor), call.mode);
      const consumption = () => service.consume(PROVIDER, { cost: Math.abs(call.cost), idempotencyKey });
      const refund = () => service.refund(PROVIDER, { cost: -call.cost, idempotencyKey });
      this.interleaving.start(actor, async () => {
        await actor.idle(call.delay);
        // A refund by key takes back what the key has consumed.
        if (call.cost > 0 || call.keyed) answers.push(await definiteAnswer(consumption, call.keyed));
        if (call.cost < 0) answers.push(await definiteAnswer(refund, call.keyed));
      });
    }
    this.checksAtTheEnd.push(() => {
      const accepted = answers.includes("unknown") ? mover.moved !== 0 : answers.includes(true);
      const expected = accepted && !(call.cost < 0 && call.keyed) ? call.cost : 0;
      expectSame(`what ${name} was answered (${answers.join()}) and what was counted`, expected, mover.moved);
    });
  }

  /** A check of the quota, which fills Redis when it misses. */
  startReader(name: string, process: PlannedProcess): void {
    this.startProcess(name, process, ({ service }) => service.check(PROVIDER));
  }

  /** A sync worker that flushes the provider so many times, unless it dies before. */
  startWorker(name: string, process: PlannedProcess, rounds: number): void {
    this.startProcess(name, process, async ({ sync }) => {
      for (let round = 0; round < rounds; round++) await sync.flush([PROVIDER]).catch(unlessUnavailable);
    });
  }

  /** Delivers one of the events so far, perhaps not the first time and perhaps late. */
  startDelivery(name: string, { delay, pick }: { readonly delay: number; readonly pick: number }): void {
    const actor = this.interleaving.actor(name);
    const { mirror } = this.assemble(this.steppedClients(actor), "redis-primary");
    this.interleaving.start(actor, async () => {
      await actor.idle(delay);
      const commit = await actor.step("take an event", () =>
        Promise.resolve(this.commits.at(-1 - (pick % Math.max(1, this.commits.length)))),
      );
      if (commit) await this.deliver(mirror, commit);
    });
  }

  /** Somebody edits the document. */
  startEdit(name: string, delay: number, edit: (document: DocumentReference) => Promise<unknown>): void {
    const actor = this.interleaving.actor(name);
    this.movers.set(name, { moved: 0, edits: true });
    this.interleaving.start(actor, async () => {
      await actor.idle(delay);
      await actor.step("edit", () => edit(this.document));
    });
  }

  /** The entry expires if it is clean; no command is under way for as long as an entry lives. */
  startExpiry(name: string, delay: number): void {
    const actor = this.interleaving.actor(name);
    const entry = this.beside.keys.quota(PROVIDER);
    this.interleaving.start(actor, async () => {
      await actor.idle(delay);
      await actor.step("expire", async () => {
        if (this.interleaving.isWaitingAt("apply") || this.interleaving.isWaitingAt("invalidate")) return;
        if ((await this.clients.redis.pttl(entry)) < 0) return;
        await this.clients.redis.del(entry);
        this.expiredAtMs = Date.now() + 1;
      });
    });
  }

  /** Runs all that was started, then lets everything come to rest, and checks that both stores agree on the total. */
  async run(): Promise<void> {
    await this.interleaving.run(async (actor, label) => {
      if (label === IDLE) return;
      this.interleaving.trace.push(`${actor}: ${label}`);
      await this.balance(actor);
    });
    for (const check of this.checksAtTheEnd) check();
    await this.comeToRest();
  }

  private startProcess(
    name: string,
    { delay, faults }: PlannedProcess,
    work: (parts: Parts) => Promise<unknown>,
  ): void {
    const actor = this.interleaving.actor(name, faults);
    const parts = this.assemble(this.steppedClients(actor), "redis-primary");
    this.interleaving.start(actor, async () => {
      await actor.idle(delay);
      await work(parts).catch(unlessUnavailable);
    });
  }

  private steppedClients(actor: Actor): Omit<Clients, "redis"> {
    return {
      firestore: steppedFirestore(actor, this.clients.firestore),
      connection: steppedRedis(actor, this.clients.connection),
    };
  }

  private assemble({ firestore, connection }: Omit<Clients, "redis">, mode: QuotaMode): Parts {
    const { beside, onChange } = this;
    const parts = assembleQuotaParts({ firestore, redis: connection, mode, onChange, beside });
    nameSteps(parts.redisStore, ["apply", "invalidate", "beginFlushes", "consume", "read"]);
    return parts;
  }

  private async deliver(mirror: Parts["mirror"], { before, after, version }: Commit): Promise<void> {
    const committedMs = Math.floor(version / 1000);
    const asOfMs = committedMs < this.expiredAtMs ? committedMs - LIFE_OF_AN_ENTRY_MS : committedMs;
    const event = { timestamp: new Date(asOfMs).toISOString() };
    await mirrorQuota(
      { before, after } as never,
      event,
      () => ({ quotaMirror: mirror }) as unknown as Context,
    );
  }

  /** Looks at both stores after a step of an actor, and checks what must hold at every moment. */
  private async balance(actor: string): Promise<void> {
    const before = this.last;
    const after = (this.last = await this.look());
    const moved = after.total - before.total;
    const mover = this.movers.get(actor);
    if (mover) mover.moved += moved;
    else expectSame(`the total before and after a step of ${actor}`, before.total, after.total);
    if (mover?.edits) expectSame("an edit and its effect", moved, after.used - before.used);
    if (mover && !mover.edits && moved > 0) {
      const decider = after.used === before.used ? after.known! : after;
      if (decider.used > decider.limit)
        throw new Error(`accepted beyond the limit: ${JSON.stringify(decider)}`);
    }
    if (after.known) {
      const unseen = this.commits.filter(({ version }) => version > after.entry!.version);
      const foreign = unseen.reduce((sum, commit) => sum + commit.foreign, 0);
      expectSame(
        "the total, and what Redis knows and has yet to see",
        after.total,
        after.known.used + foreign,
      );
    }
  }

  private async look(): Promise<State> {
    const [document, entry] = await Promise.all([
      this.document.get(),
      storedQuota(this.clients.redis, this.beside.keys.quota(PROVIDER)),
    ]);
    this.record(document);
    const { pending = 0, inFlight = 0, flushId = 0 } = entry ?? {};
    const landed = parseMarker(document.data()) >= flushId;
    const used = usedIn(document);
    return {
      used,
      limit: Number(document.get("aiCallsLimit") ?? DEFAULT_LIMIT),
      total: used + (landed ? 0 : inFlight) + pending,
      known:
        entry === undefined || entry.limit === NOT_KNOWN
          ? undefined
          : {
              used: entry.used + inFlight + pending,
              limit: entry.limit >= 0 ? entry.limit : DEFAULT_LIMIT,
            },
      entry,
    };
  }

  private record(document: DocumentSnapshot): void {
    const before = this.lastDocument;
    this.lastDocument = document;
    if (!document.updateTime || before.updateTime?.isEqual(document.updateTime)) return;
    const flushed = parseMarker(before.data()) !== parseMarker(document.data());
    this.commits.push({
      before,
      after: document,
      version: toVersion(document.updateTime),
      foreign: flushed ? 0 : usedIn(document) - usedIn(before),
    });
  }

  private async comeToRest(): Promise<void> {
    const { sync, mirror, service } = this.bystander;
    const { total } = this.last;
    for (const order of ["latest first", "earliest first"] as const) {
      await sync.flushAll({ deadlineMs: Date.now() + 10_000 });
      await this.balance("the last sync");
      const events = order === "latest first" ? this.commits.toReversed() : [...this.commits];
      for (const commit of events) await this.deliver(mirror, commit);
      await this.balance("the last events");
    }
    await service.check(PROVIDER);
    const { used, known, entry } = await this.look();
    expectSame("the total and used in Firestore, at rest", total, used);
    expectSame("used in Firestore and in Redis, at rest", used, known?.used);
    expectSame("pending usage, at rest", 0, entry?.pending);
    expectSame("usage in flight, at rest", 0, entry?.inFlight);
  }
}

/** A process, which begins after so many idle steps, and what befalls it. */
export interface PlannedProcess {
  readonly delay: number;
  readonly faults: ReadonlyMap<number, Fault>;
}

export interface PlannedCall extends PlannedProcess {
  readonly mode: QuotaMode;
  /** Negative to refund. */
  readonly cost: number;
  readonly keyed: boolean;
  readonly copies: number;
}

/** Asks again for as long as the answer is not known, which only a call with a key may do. */
async function definiteAnswer(
  ask: () => Promise<{ readonly allowed: boolean }>,
  keyed: boolean,
): Promise<boolean | "unknown"> {
  for (;;) {
    try {
      return (await ask()).allowed;
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code !== "outcome-unknown" && code !== "firestore-unavailable") throw error;
      if (!keyed) return "unknown";
    }
  }
}

function unlessUnavailable(error: unknown): void {
  if (error instanceof RedisUnavailableError || error instanceof FirestoreUnavailableError) return;
  throw error;
}

function usedIn(document: DocumentSnapshot): number {
  return Number(document.get("aiCallsUsed") ?? 0);
}

function expectSame(what: string, left: unknown, right: unknown): void {
  if (isDeepStrictEqual(left, right)) return;
  throw new Error(`${what} differ: ${JSON.stringify(left)} and ${JSON.stringify(right)}`);
}
