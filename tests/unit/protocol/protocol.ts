import type { Visit } from "./explore";

// Jest makes every use of a global slow.
const { max } = Math;

/** How often what makes the state grow may happen. */
export interface Bounds {
  /** Limits that an edit may set; the first is the document's at the start, when it has used nothing. */
  readonly limits: readonly number[];
  /** Consumptions, of cost 1, that are accepted. */
  readonly consumptions: number;
  readonly refunds: number;
  /** Edits of the document by others: used set to 0, or another limit. */
  readonly edits: number;
  /** Deletions of the document; it may be created anew after each. */
  readonly deletions: number;
  /** Flush ids issued; resuming a flush issues none. */
  readonly flushes: number;
  readonly workers: number;
}

/** The decisions that make up the protocol, each with the alternatives that do not work. */
export interface Rules {
  /** A document has a flush if its marker is that flush's id or a later one; `equal`: if it is that id. */
  readonly flushIds: "ordered" | "equal";
  /** What a snapshot that is more than 60 s old may do: `create`: create an entry, too. */
  readonly lateSnapshots: "update" | "create";
  /** Ack applies what was written as a snapshot; `clear`: it clears what is in flight, and leaves `used` as it was. */
  readonly ack: "apply" | "clear";
  /** Effective used is max(0, u + f) + p, since u + f is flushed as max(0, u + f); `sum`: u + f + p. */
  readonly effectiveUsed: "floored" | "sum";
  /** A conditional write writes max(0, u + f); `sum`: u + f. */
  readonly conditionalWrite: "floored" | "sum";
  /**
   * Usage never reaches a document that was created later (createTime > v): apply drops what the entry holds, and a
   * transaction writes nothing; `in apply`: transactions do not look; `ignored`: nobody looks.
   */
  readonly createTime: "checked" | "in apply" | "ignored";
}

export const RULES: Rules = {
  flushIds: "ordered",
  lateSnapshots: "update",
  ack: "apply",
  effectiveUsed: "floored",
  conditionalWrite: "floored",
  createTime: "checked",
};

/** What the protocol relies on others for, each with what would break it. */
export interface Environment {
  /** Edits by others keep the document's marker (they update or merge); `dropped`: they replace the document. */
  readonly markerInEdits: "kept" | "dropped";
  /** A clean entry lives for its TTL, which is longer than 60 s; `evicted`: Redis may drop it at once. */
  readonly cleanEntries: "live" | "evicted";
  /** Redis keeps what it has confirmed; `loses begin`: it fails over to a replica that has not heard of a begin yet. */
  readonly failover: "keeps all" | "loses begin";
}

export const ENVIRONMENT: Environment = {
  markerInEdits: "kept",
  cleanEntries: "live",
  failover: "keeps all",
};

/** The document at one version. A version's number is its place in {@link State.versions}. */
export interface Version {
  /** Whether there is a document; one that was deleted keeps its last fields here, which nobody looks at. */
  readonly exists: boolean;
  readonly used: number;
  readonly limit: number;
  /** `_quotaSync.flushId`: the newest flush that is part of `used`; 0: none. */
  readonly marker: number;
  /** Stands for createTime: how many documents there were before this one. */
  readonly life: number;
  /** Its event has been delivered at least once. */
  readonly delivered: boolean;
  /** Ghost: resets and deletions by others so far. */
  readonly edition: number;
}

/** The provider's entry in Redis; all zero for a tombstone, but v, m and life. */
export interface Entry {
  readonly exists: boolean;
  readonly u: number;
  readonly l: number;
  readonly v: number;
  readonly p: number;
  readonly f: number;
  /** 0: nothing in flight. */
  readonly i: number;
  readonly m: number;
  /** Ghost: the document's life at v. The protocol need not keep it: it compares createTime with v. */
  readonly life: number;
  /** Ghost: what is in flight has been written to Firestore. */
  readonly written: boolean;
}

/** A worker in the midst of a flush. A crash makes it idle. */
export type Worker =
  | { readonly at: "idle" }
  /** Has begun; knows what begin returned. */
  | {
      readonly at: "commit";
      readonly i: number;
      readonly f: number;
      readonly u: number;
      readonly l: number;
      readonly v: number;
      readonly life: number;
    }
  /** Has written the version that it is to acknowledge. */
  | { readonly at: "ack"; readonly version: number }
  /** Is through with its transaction. */
  | { readonly at: "read" }
  /** Has read the version that it is to apply. */
  | { readonly at: "apply"; readonly version: number };

export interface State {
  /** Of the document, oldest first. The last is what Firestore holds, the others live on in events and readers. */
  readonly versions: readonly Version[];
  readonly entry: Entry | undefined;
  readonly workers: readonly Worker[];
  /**
   * The newest version that was written more than 60 s ago. This is all the time there is: a snapshot is late if the
   * version that followed it is as old as that, may be late if it is this version itself (an event is, a read may be
   * younger), and is not late otherwise.
   */
  readonly late: number;

  readonly accepted: number;
  readonly refunded: number;
  readonly edited: number;
  readonly deleted: number;
  readonly begun: number;

  /** Ghost: usage accepted (less what was refunded) that no write to Firestore has brought there yet. */
  readonly owed: number;
  /** Ghost: usage accepted (less what was refunded, at least 0) since the entry learned of `seenEdition`. */
  readonly acceptedSince: number;
  /** Ghost: the newest edition that an entry has learned of. */
  readonly seenEdition: number;
}

const IDLE: Worker = { at: "idle" };

export function initialState({ limits, workers }: Bounds): State {
  return {
    versions: [{ exists: true, used: 0, limit: limits[0]!, marker: 0, life: 0, delivered: true, edition: 0 }],
    entry: undefined,
    workers: Array.from({ length: workers }, () => IDLE),
    late: 0,
    accepted: 0,
    refunded: 0,
    edited: 0,
    deleted: 0,
    begun: 0,
    owed: 0,
    acceptedSince: 0,
    seenEdition: 0,
  };
}

/**
 * The protocol of one provider's quota entry as a transition system: everything that can happen, one atomic step at a
 * time. A step is what is atomic in reality: one Redis script, one Firestore commit, one Firestore read.
 *
 * Workers crash, flushes are resumed, events are delivered again, readers read and clean entries expire as often as they
 * like. Only what would make the states endless has a {@link Bounds | bound}.
 *
 * What must hold:
 * - always: every accepted consumption is in exactly one place: pending, in flight, or written to Firestore;
 * - always: effective used is never below what was accepted since the last reset that the entry knows of, and nothing is
 *   accepted beyond the limit that it knows;
 * - always: an entry that knows of the last reset answers what Firestore will have once everything is flushed;
 * - always: a blind write does what the transaction would have done, and Firestore's used is never negative;
 * - at rest, and from every calm state an undisturbed flush leads to rest: Firestore lacks nothing, and the entry equals it.
 *
 * Ghosts are what the checks know and the protocol does not: no step's effect on the rest of the state depends on them
 * (`life` stands in for a comparison of createTime with v).
 */
export class Protocol {
  constructor(
    readonly bounds: Bounds,
    readonly rules: Rules = RULES,
    readonly environment: Environment = ENVIRONMENT,
  ) {}

  /** Visits every state one step away. */
  steps(state: State, visit: Visit<State>): void {
    this.callers(state, visit);
    this.others(state, visit);
    this.snapshots(state, visit);
    this.time(state, visit);
    state.workers.forEach((_, worker) => {
      this.work(state, worker, visit);
    });
  }

  private callers(state: State, visit: Visit<State>): void {
    const { entry } = state;
    if (!entry?.exists) return; // a miss (a reader fills the entry) or no such provider
    const used = this.effectiveUsed(entry);
    if (state.accepted < this.bounds.consumptions && used + 1 <= entry.l) {
      const acceptedSince = state.acceptedSince + 1;
      visit(
        {
          ...state,
          entry: { ...entry, p: entry.p + 1 },
          accepted: state.accepted + 1,
          owed: state.owed + 1,
          acceptedSince,
        },
        () => "consume 1: accepted",
        acceptedSince > entry.l ? "accepted beyond the limit that Redis knew" : undefined,
      );
    }
    if (state.refunded < this.bounds.refunds && used >= 1) {
      visit(
        {
          ...state,
          entry: { ...entry, p: entry.p - 1 },
          refunded: state.refunded + 1,
          owed: state.owed - 1,
          acceptedSince: max(0, state.acceptedSince - 1),
        },
        () => "refund 1",
      );
    }
  }

  /** What others do to the document. */
  private others(state: State, visit: Visit<State>): void {
    const document = state.versions.at(-1)!;
    const { limits } = this.bounds;
    const created = { marker: 0, used: 0 };
    if (document.exists && state.edited < this.bounds.edits) {
      const marker = this.environment.markerInEdits === "kept" ? document.marker : 0;
      const edited = { ...state, edited: state.edited + 1 };
      const edition = document.edition + 1;
      visit(write(edited, { ...document, used: 0, marker, edition }), () => "someone resets used to 0");
      for (const limit of limits.filter((other) => other !== document.limit)) {
        visit(write(edited, { ...document, limit, marker }), () => `someone sets the limit to ${limit}`);
      }
    }
    if (document.exists && state.deleted < this.bounds.deletions) {
      const deleted = { ...state, deleted: state.deleted + 1 };
      visit(
        write(deleted, { ...document, ...created, exists: false, edition: document.edition + 1 }),
        () => "someone deletes the document",
      );
    }
    if (!document.exists) {
      visit(
        write(state, { ...document, ...created, exists: true, limit: limits[0]!, life: document.life + 1 }),
        () => "someone creates the document anew",
      );
    }
  }

  /**
   * Events and readers. Whatever version the document had, a reader may have read it then and apply it now; so readers
   * need no state, and there are as many as it takes. An event comes when it likes, and again when it likes.
   */
  private snapshots(state: State, visit: Visit<State>): void {
    for (let version = 0; version < state.versions.length; version++) {
      visit(this.deliver(state, version), () => `event of version ${version} is delivered`);
      visit(
        this.apply(state, version, version < state.late),
        () => `a reader applies version ${version}, read when it was current`,
      );
    }
  }

  /** What time does, and to Redis. */
  private time(state: State, visit: Visit<State>): void {
    const { entry, late } = state;
    if (late < state.versions.length - 1) {
      visit({ ...state, late: late + 1 }, () => `time passes: version ${late + 1} was written 60 s ago`);
    }
    if (entry !== undefined && isClean(entry)) {
      // An entry's TTL runs from its last apply, and is longer than 60 s: what was not newer than that, is late by now.
      const past = this.environment.cleanEntries === "live" ? max(late, entry.v) : late;
      visit({ ...state, entry: undefined, late: past }, () => "the entry expires");
    }
    if (this.environment.failover === "loses begin" && entry !== undefined && entry.i !== 0) {
      const forgotten: Entry = { ...entry, p: entry.p + entry.f, f: 0, i: 0, written: false };
      visit({ ...state, entry: forgotten }, () => `Redis fails over and has not heard of flush ${entry.i}`);
    }
  }

  private work(state: State, index: number, visit: Visit<State>): void {
    const worker = state.workers[index]!;
    const name = `worker ${index + 1}`;
    if (worker.at !== "idle") visit(withWorker(state, index, IDLE), () => `${name} crashes`);
    switch (worker.at) {
      case "idle": {
        const { entry } = state;
        if (entry === undefined || isClean(entry)) return;
        if (entry.i === 0 && (entry.p === 0 || state.begun === this.bounds.flushes)) return;
        visit(this.begin(state, index), () =>
          entry.i === 0 ? `${name} begins flush ${entry.m + 1} of ${entry.p}` : `${name} resumes ${entry.i}`,
        );
        return;
      }
      case "commit": {
        const blind = worker.v === state.versions.length - 1;
        const { next, broken } = this.commit(state, index);
        const how = blind ? "writes blindly" : "runs its transaction (it is not the version it knew)";
        visit(next, () => `${name} ${how}`, broken);
        // The write was made and the answer lost: the worker takes it for refused, and goes on to its transaction.
        if (blind)
          visit({ ...next, workers: state.workers }, () => `${name} writes blindly, unanswered`, broken);
        return;
      }
      case "ack":
        visit(this.acknowledge(state, index), () => `${name} acknowledges version ${worker.version}`);
        return;
      case "read":
        visit(this.read(state, index), () => `${name} reads the document`);
        return;
      case "apply":
        visit(
          withWorker(this.apply(state, worker.version, worker.version < state.late), index, IDLE),
          () => `${name} applies version ${worker.version}, which it read`,
        );
        return;
    }
  }

  private effectiveUsed({ u, f, p }: Entry): number {
    return (this.rules.effectiveUsed === "floored" ? max(0, u + f) : u + f) + p;
  }

  /** Whether a document with this marker has the flush. */
  private has(marker: number, flushId: number): boolean {
    return this.rules.flushIds === "ordered" ? marker >= flushId : marker === flushId;
  }

  private deliver(state: State, version: number): State {
    const applied = this.apply(state, version, version <= state.late);
    if (state.versions[version]!.delivered) return applied;
    return {
      ...applied,
      versions: state.versions.with(version, { ...state.versions[version]!, delivered: true }),
    };
  }

  /** The one script that takes a snapshot into Redis, wherever it comes from. */
  private apply(state: State, version: number, isLate: boolean): State {
    const snapshot = state.versions[version]!;
    const { exists, used, limit, marker, life } = snapshot;
    const old = state.entry;
    if (old === undefined && isLate && this.rules.lateSnapshots === "update") return state;
    if (old !== undefined && version <= old.v) {
      if (!exists || old.i === 0 || !this.has(marker, old.i)) return state;
      // What is known is newer than the flush, and contains it or has dropped it: only the flush ends.
      return { ...state, entry: { ...old, f: 0, i: 0, m: max(old.m, marker), written: false } };
    }

    let { p, f, i, written } = old ?? { p: 0, f: 0, i: 0, written: false };
    let { owed } = state;
    const lifeEnded = old !== undefined && (!exists || life !== old.life);
    if (!exists || (lifeEnded && this.rules.createTime !== "ignored")) {
      p = f = i = 0;
    } else if (i !== 0 && this.has(marker, i)) {
      f = i = 0;
      written = false;
    }
    if (lifeEnded) {
      owed = 0; // usage dies with its document
      written = false;
    }
    const entry: Entry = {
      exists,
      u: exists ? used : 0,
      l: exists ? limit : 0,
      v: version,
      p,
      f,
      i,
      m: max(old?.m ?? 0, marker),
      life,
      written,
    };
    const missing = max(0, -this.effectiveUsed(entry)); // refunds of usage that was reset since: void
    const learned = snapshot.edition > state.seenEdition;
    return {
      ...state,
      entry: missing === 0 ? entry : { ...entry, p: p + missing },
      owed: owed + missing,
      acceptedSince: learned ? 0 : state.acceptedSince,
      seenEdition: max(state.seenEdition, snapshot.edition),
    };
  }

  /** Starts a flush or resumes the one in flight. The clock stands still, which makes for the lowest id there can be. */
  private begin(state: State, index: number): State {
    const entry = state.entry!;
    const begins = entry.i === 0;
    const begun: Entry = begins ? { ...entry, f: entry.p, p: 0, i: entry.m + 1, written: false } : entry;
    const { i, f, u, l, v, life } = begun;
    return withWorker({ ...state, entry: begun, begun: state.begun + (begins ? 1 : 0) }, index, {
      at: "commit",
      i,
      f,
      u,
      l,
      v,
      life,
    });
  }

  /** Writes the flush to Firestore: blindly if the document is at the version that the entry had, else by transaction. */
  private commit(state: State, index: number): { readonly next: State; readonly broken?: string } {
    const worker = state.workers[index]!;
    if (worker.at !== "commit") throw new TypeError(`Nothing to commit when ${worker.at}`);
    const { i, f, u, l, v, life } = worker;
    const document = state.versions.at(-1)!;

    const blind = v === state.versions.length - 1;
    const foreign = !document.exists || (this.rules.createTime === "checked" && document.life !== life);
    if (!blind && (foreign || this.has(document.marker, i))) {
      return { next: withWorker(state, index, { at: "read" }) };
    }
    const used =
      blind && this.rules.conditionalWrite === "sum" ? u + f : max(0, (blind ? u : document.used) + f);
    const written = write(state, { ...document, used, marker: i });
    const { entry } = state;
    const next = withWorker(
      {
        ...written,
        owed: state.owed - f,
        entry:
          entry !== undefined && entry.i === i && entry.life === life ? { ...entry, written: true } : entry,
      },
      index,
      blind ? { at: "ack", version: written.versions.length - 1 } : { at: "read" },
    );
    if (used < 0) return { next, broken: "Firestore's used is negative" };
    if (document.life !== life)
      return { next, broken: "usage of a deleted document went into its successor" };
    if (blind && (u !== document.used || l !== document.limit)) {
      return { next, broken: "a blind write went over what it did not know" };
    }
    return { next };
  }

  private acknowledge(state: State, index: number): State {
    const worker = state.workers[index]!;
    if (worker.at !== "ack") throw new TypeError(`Nothing to acknowledge when ${worker.at}`);
    const { version } = worker;
    const done = withWorker(state, index, IDLE);
    if (this.rules.ack === "apply") return this.apply(done, version, version <= state.late);
    const { entry } = state;
    const current = entry !== undefined && entry.i === state.versions[version]!.marker;
    return current ? { ...done, entry: { ...entry, f: 0, i: 0, written: false } } : done;
  }

  private read(state: State, index: number): State {
    return withWorker(state, index, { at: "apply", version: state.versions.length - 1 });
  }

  /** What is wrong with a state, if anything. */
  check(state: State): string | undefined {
    const { entry, owed, acceptedSince, seenEdition } = state;
    const document = state.versions.at(-1)!;

    // Every accepted consumption is in exactly one place: pending, in flight, or written to Firestore.
    const inFlight = entry === undefined || entry.written ? 0 : entry.f;
    const held = (entry?.p ?? 0) + inFlight;
    if (held < owed)
      return `accepted usage is lost: Redis holds ${held} of ${owed} that Firestore has not got`;
    if (held > owed) return `usage is counted twice: Redis holds ${held}, and Firestore lacks ${owed}`;

    if (entry?.exists) {
      const used = this.effectiveUsed(entry);
      if (used < 0) return `effective used is ${used}`;

      // Edits by others aside, Redis answers no less than what was accepted.
      if (used < acceptedSince) return `effective used is ${used} after ${acceptedSince} were accepted`;

      // Once it knows of the last reset, Redis answers what Firestore will have when everything is flushed.
      const due = max(0, document.used + inFlight) + entry.p;
      if (document.exists && seenEdition === document.edition && used !== due) {
        return `effective used is ${used}, and Firestore will have ${due}`;
      }
    }
    return isCalm(state) ? this.checkRest(this.settle(state)) : undefined;
  }

  /** Flushes until there is nothing left to flush, undisturbed, with every event delivered. */
  private settle(calm: State): State {
    let state = calm;
    for (let round = 0; round < 2 && state.entry !== undefined && !isClean(state.entry); round++) {
      state = this.commit(this.begin(state, 0), 0).next;
      state = state.workers[0]!.at === "ack" ? this.acknowledge(state, 0) : this.read(state, 0);
      const worker = state.workers[0]!;
      if (worker.at === "apply") state = withWorker(this.apply(state, worker.version, false), 0, IDLE);
      state = this.deliver(state, state.versions.length - 1);
    }
    return state;
  }

  /** At rest, Redis has nothing left to flush, Firestore has everything, and they agree. */
  private checkRest({ entry, owed, versions }: State): string | undefined {
    const document = versions.at(-1)!;
    if (owed !== 0) return `at rest, Firestore lacks ${owed}`;
    if (entry === undefined) return undefined;
    if (!isClean(entry)) return "an undisturbed flush left the entry dirty";
    if (entry.exists !== document.exists)
      return "at rest, Redis and Firestore differ in whether there is a document";
    if (entry.exists && (entry.u !== document.used || entry.l !== document.limit)) {
      return `at rest, Redis has ${entry.u} of ${entry.l}, and Firestore ${document.used} of ${document.limit}`;
    }
    return undefined;
  }
}

/** A clean entry has a TTL; any other stays. */
export function isClean({ p, i }: Entry): boolean {
  return p === 0 && i === 0;
}

/** No worker is active and every event has been delivered. */
function isCalm({ workers, versions }: State): boolean {
  return workers.every(({ at }) => at === "idle") && versions.every(({ delivered }) => delivered);
}

function write(state: State, document: Version): State {
  return { ...state, versions: [...state.versions, { ...document, delivered: false }] };
}

function withWorker(state: State, index: number, worker: Worker): State {
  return { ...state, workers: state.workers.with(index, worker) };
}
