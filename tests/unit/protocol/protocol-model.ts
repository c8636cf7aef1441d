import { BitReader, BitWriter } from "./bits";
import type { Model } from "./explore";
import { initialState } from "./protocol";
import type { Entry, Protocol, State, Version, Worker } from "./protocol";

const WORDS = 9;
const WORKER_STEPS = ["idle", "commit", "ack", "read", "apply"] as const satisfies readonly Worker["at"][];

/** Added to what may be negative, or -1 for a version too old to matter. */
const BIAS = 4;

/**
 * The protocol for `explore`. With `reduce`, states are taken for the same that differ only in what has no effect any
 * more, see {@link reduced}; without, only if workers have swapped places.
 */
export function modelOf(protocol: Protocol, { reduce = isReducible(protocol) } = {}): Model<State> {
  return {
    initial: initialState(protocol.bounds),
    words: WORDS,
    encode: (state, into) => encode(reduce ? reduced(state) : state, into),
    decode,
    steps: (state, visit) => protocol.steps(state, visit),
    check: (state) => protocol.check(state),
    describe,
  };
}

function isReducible({ rules, environment }: Protocol): boolean {
  return rules.lateSnapshots === "update" && rules.ack === "apply" && environment.cleanEntries === "live";
}

/**
 * Leaves out what can have no effect any more, and numbers the versions that are left from 0.
 *
 * Right where the 60 s rule holds: neither a version older than a present entry's, nor one that is late when there is no
 * entry, will ever be taken again; when the present entry has expired, they are late. And an ack takes a snapshot like any
 * other.
 */
function reduced(state: State): State {
  const { entry, versions } = state;
  const late = entry === undefined ? state.late : Math.max(state.late, entry.v);
  const oldest = entry?.v ?? late;
  const current = versions.length - 1;

  const worker = (worker: Worker): Worker => {
    switch (worker.at) {
      case "idle":
      case "read":
        return worker;
      case "commit": // of another version than the current one, only that it is another one matters
        return worker.v === current ? { ...worker, v: worker.v - oldest } : { ...worker, v: -1, u: 0, l: 0 };
      case "ack": // like the event of that version
        return worker.version <= oldest ? { at: "idle" } : { ...worker, version: worker.version - oldest };
      case "apply": // like a reader of that version
        return worker.version < oldest || worker.version === entry?.v
          ? { at: "idle" }
          : { ...worker, version: worker.version - oldest };
    }
  };
  const [first, ...rest] = versions.slice(oldest);
  return {
    ...state,
    versions: [{ ...first!, delivered: true }, ...rest],
    entry: entry && { ...entry, v: 0 },
    workers: state.workers.map(worker),
    late: late - oldest,
  };
}

function encode(state: State, into: Uint32Array): void {
  const out = new BitWriter(into);
  out.put(state.versions.length, 4);
  out.put(state.late, 4);
  out.put(state.accepted, 3);
  out.put(state.refunded, 2);
  out.put(state.edited, 2);
  out.put(state.deleted, 2);
  out.put(state.begun, 3);
  out.put(state.owed + BIAS, 4);
  out.put(state.acceptedSince, 3);
  out.put(state.seenEdition, 3);
  putEntry(out, state.entry);
  const workers = state.workers.map(workerBits);
  workers.sort((a, b) => a - b); // workers are alike: which is which does not matter
  out.put(workers.length, 2);
  for (const bits of workers) out.put(bits, WORKER_BITS);
  for (const version of state.versions) putVersion(out, version);
}

function decode(words: Uint32Array): State {
  const from = new BitReader(words);
  const length = from.take(4);
  const counters = {
    late: from.take(4),
    accepted: from.take(3),
    refunded: from.take(2),
    edited: from.take(2),
    deleted: from.take(2),
    begun: from.take(3),
    owed: from.take(4) - BIAS,
    acceptedSince: from.take(3),
    seenEdition: from.take(3),
  };
  const entry = takeEntry(from);
  const workers = Array.from({ length: from.take(2) }, () => workerOf(from.take(WORKER_BITS)));
  const versions = Array.from({ length }, () => takeVersion(from));
  return { ...counters, entry, workers, versions };
}

function putEntry(out: BitWriter, entry: Entry | undefined): void {
  out.flag(entry !== undefined);
  if (entry === undefined) return;
  out.flag(entry.exists);
  out.put(entry.u, 3);
  out.put(entry.l, 3);
  out.put(entry.v, 4);
  out.put(entry.p + BIAS, 4);
  out.put(entry.f + BIAS, 4);
  out.put(entry.i, 3);
  out.put(entry.m, 3);
  out.put(entry.life, 2);
  out.flag(entry.written);
}

function takeEntry(from: BitReader): Entry | undefined {
  if (!from.flag()) return undefined;
  return {
    exists: from.flag(),
    u: from.take(3),
    l: from.take(3),
    v: from.take(4),
    p: from.take(4) - BIAS,
    f: from.take(4) - BIAS,
    i: from.take(3),
    m: from.take(3),
    life: from.take(2),
    written: from.flag(),
  };
}

function putVersion(out: BitWriter, version: Version): void {
  out.flag(version.exists);
  out.put(version.used, 3);
  out.put(version.limit, 3);
  out.put(version.marker, 3);
  out.put(version.life, 2);
  out.flag(version.delivered);
  out.put(version.edition, 3);
}

function takeVersion(from: BitReader): Version {
  return {
    exists: from.flag(),
    used: from.take(3),
    limit: from.take(3),
    marker: from.take(3),
    life: from.take(2),
    delivered: from.flag(),
    edition: from.take(3),
  };
}

const WORKER_BITS = 23;
const workerWord = new Uint32Array(1);

/** A worker as one number, so that workers can be sorted. */
function workerBits(worker: Worker): number {
  const out = new BitWriter(workerWord);
  out.put(WORKER_STEPS.indexOf(worker.at), 3);
  switch (worker.at) {
    case "idle":
    case "read":
      break;
    case "ack":
    case "apply":
      out.put(worker.version, 4);
      break;
    case "commit":
      out.put(worker.i, 3);
      out.put(worker.f + BIAS, 4);
      out.put(worker.u, 3);
      out.put(worker.l, 3);
      out.put(worker.v + 1, 5);
      out.put(worker.life, 2);
      break;
  }
  return workerWord[0]!;
}

function workerOf(bits: number): Worker {
  const from = new BitReader(Uint32Array.of(bits));
  const at = WORKER_STEPS[from.take(3)]!;
  switch (at) {
    case "idle":
    case "read":
      return { at };
    case "ack":
    case "apply":
      return { at, version: from.take(4) };
    case "commit":
      return {
        at,
        i: from.take(3),
        f: from.take(4) - BIAS,
        u: from.take(3),
        l: from.take(3),
        v: from.take(5) - 1,
        life: from.take(2),
      };
  }
}

function describe({ entry, versions }: State): string {
  const document = versions.at(-1)!;
  const firestore = document.exists
    ? `used ${document.used} of ${document.limit}, marker ${document.marker}`
    : "no document";
  let redis = "no entry";
  if (entry !== undefined) {
    const { u, l, v, p, f, i, m } = entry;
    redis = entry.exists ? `u ${u} l ${l} v ${v} p ${p} f ${f} i ${i} m ${m}` : `tombstone, v ${v}`;
  }
  return `Redis: ${redis}; Firestore: ${firestore}, version ${versions.length - 1}`;
}
