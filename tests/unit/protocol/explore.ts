/**
 * A model for {@link explore}: its states, the steps between them and what must hold.
 *
 * `encode` packs a state into `words` 32-bit words. It decides what counts as the same state, so states that differ only
 * in what can have no effect any more should get the same words.
 */
export interface Model<State> {
  readonly initial: State;
  readonly words: number;
  encode(state: State, into: Uint32Array): void;
  decode(words: Uint32Array): State;
  /** Visits every state that is one step away; `broken` says what the step itself did wrong. */
  steps(state: State, visit: Visit<State>): void;
  /** What is wrong with a state, if anything. */
  check(state: State): string | undefined;
  describe(state: State): string;
}

export type Visit<State> = (next: State, label: () => string, broken?: string) => void;

export interface Violation {
  readonly message: string;
  /** A shortest run that leads to it. */
  readonly trace: readonly TracedStep[];
}

export interface TracedStep {
  readonly label: string;
  /** The state after the step. */
  readonly state: string;
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** Steps of the longest of the shortest runs to a state. */
  readonly depth: number;
  readonly ms: number;
  /** Of the tables of states. */
  readonly bytes: number;
  readonly violation: Violation | undefined;
}

/**
 * Visits every reachable state, breadth first, and stops at the first violation.
 *
 * States are compared in full, not by a hash of theirs: what it says was explored, was.
 *
 * @throws RangeError if there are more than `maxStates`.
 */
export function explore<State>(
  model: Model<State>,
  { maxStates }: { readonly maxStates: number },
): Exploration {
  const startedAt = performance.now();
  const seen = new StateTable(model.words, maxStates);
  const words = new Uint32Array(model.words);
  const parents = new GrowingInts();
  let transitions = 0;
  let depth = 0;
  let levelEnd = 1;

  const finish = (violation?: Violation): Exploration => ({
    states: seen.size,
    transitions,
    depth,
    ms: performance.now() - startedAt,
    bytes: seen.bytes + parents.bytes,
    violation,
  });
  const runTo = (index: number): Uint32Array[] => {
    const run: Uint32Array[] = [];
    for (let at = index; at >= 0; at = parents.get(at)) run.unshift(seen.get(at).slice());
    return run;
  };

  model.encode(model.initial, words);
  seen.add(words);
  parents.push(-1);
  const wrong = model.check(model.initial);
  if (wrong !== undefined) return finish({ message: wrong, trace: retrace(model, runTo(0)) });

  for (let index = 0; index < seen.size; index++) {
    if (index === levelEnd) {
      depth++;
      levelEnd = seen.size;
    }
    let violation: Violation | undefined;
    const state = model.decode(seen.get(index));
    model.steps(state, (next, label, broken) => {
      if (next === state || violation !== undefined) return;
      transitions++;
      if (broken !== undefined) {
        violation = {
          message: broken,
          trace: retrace(model, runTo(index), broken),
        };
        return;
      }
      model.encode(next, words);
      if (!seen.add(words)) return;
      parents.push(index);
      const message = model.check(next);
      if (message !== undefined) violation = { message, trace: retrace(model, runTo(seen.size - 1)) };
    });
    if (violation !== undefined) return finish(violation);
  }
  return finish();
}

/**
 * Runs a run again, to tell its steps.
 *
 * Goes from state to state as the steps leave them, never through `decode`: if `encode` left out what has an effect after
 * all, a step of the run is missing here.
 */
function retrace<State>(model: Model<State>, run: readonly Uint32Array[], broken?: string): TracedStep[] {
  const trace: TracedStep[] = [];
  let state = model.initial;
  const follow = (source: Uint32Array, isNext: StepTest): void => {
    let taken: Step<State>[] | undefined;
    for (let silent = 0; taken === undefined && silent <= MAX_SILENT_STEPS; silent++) {
      taken = stepsTo(model, state, source, isNext, silent);
    }
    if (taken === undefined) throw new Error(`No step leads on from: ${model.describe(state)}`);
    for (const { next, label } of taken) trace.push({ label, state: model.describe(next) });
    state = taken.at(-1)!.next;
  };
  run.slice(1).forEach((target, step) => {
    follow(run[step]!, (encoded) => equal(encoded(), target));
  });
  if (broken !== undefined) follow(run.at(-1)!, (_, wrong) => wrong === broken);
  return trace;
}

interface Step<State> {
  readonly next: State;
  readonly label: string;
}

type StepTest = (encoded: () => Uint32Array, broken: string | undefined) => boolean;

/** As many as there may be workers that have to finish what has no effect any more. */
const MAX_SILENT_STEPS = 3;

/** The step wanted, after a number of steps that leave the encoded state as it is. */
function stepsTo<State>(
  model: Model<State>,
  from: State,
  source: Uint32Array,
  isNext: StepTest,
  silentSteps: number,
): Step<State>[] | undefined {
  const words = new Uint32Array(model.words);
  const silent: Step<State>[] = [];
  let found: Step<State> | undefined;
  model.steps(from, (next, label, broken) => {
    if (next === from || found !== undefined) return;
    const encoded = (): Uint32Array => {
      model.encode(next, words);
      return words;
    };
    if (silentSteps === 0) {
      if (isNext(encoded, broken)) found = { next, label: label() };
    } else if (broken === undefined && equal(encoded(), source)) {
      silent.push({ next, label: label() });
    }
  });
  if (found !== undefined) return [found];
  for (const first of silent) {
    const rest = stepsTo(model, first.next, source, isNext, silentSteps - 1);
    if (rest !== undefined) return [first, ...rest];
  }
  return undefined;
}

function equal(a: Uint32Array, b: Uint32Array): boolean {
  return a.every((word, at) => word === b[at]);
}

/** Array of 32-bit integers that grows without being copied. */
class GrowingInts {
  private static readonly CHUNK_BITS = 18;
  private readonly chunks: Int32Array[] = [];
  private size = 0;

  get bytes(): number {
    return this.chunks.length * (4 << GrowingInts.CHUNK_BITS);
  }

  push(value: number): void {
    const chunk = this.size >>> GrowingInts.CHUNK_BITS;
    if (chunk === this.chunks.length) this.chunks.push(new Int32Array(1 << GrowingInts.CHUNK_BITS));
    this.chunks[chunk]![this.size & ((1 << GrowingInts.CHUNK_BITS) - 1)] = value;
    this.size++;
  }

  get(index: number): number {
    return this.chunks[index >>> GrowingInts.CHUNK_BITS]![index & ((1 << GrowingInts.CHUNK_BITS) - 1)]!;
  }
}

/** The distinct states in the order in which they were added, which makes it the queue of the search as well. */
class StateTable {
  private static readonly CHUNK_BITS = 16;
  private readonly chunks: Uint32Array[] = [];
  /** Open addressing with linear probing: a state's index + 1, or 0. */
  private slots = new Int32Array(1 << 16);
  size = 0;

  constructor(
    private readonly words: number,
    private readonly maxSize: number,
  ) {}

  get bytes(): number {
    return this.slots.byteLength + this.chunks.length * ((4 * this.words) << StateTable.CHUNK_BITS);
  }

  /** A view, valid as long as the table. */
  get(index: number): Uint32Array {
    const start = (index & ((1 << StateTable.CHUNK_BITS) - 1)) * this.words;
    return this.chunks[index >>> StateTable.CHUNK_BITS]!.subarray(start, start + this.words);
  }

  /** Whether the state was new. */
  add(state: Uint32Array): boolean {
    const mask = this.slots.length - 1;
    let slot = hash(state, 0, this.words) & mask;
    for (let index = this.slots[slot]!; index !== 0; index = this.slots[slot]!) {
      if (this.holds(index - 1, state)) return false;
      slot = (slot + 1) & mask;
    }
    if (this.size === this.maxSize) throw new RangeError(`More than ${this.maxSize} states`);
    const chunk = this.size >>> StateTable.CHUNK_BITS;
    if (chunk === this.chunks.length) {
      this.chunks.push(new Uint32Array(this.words << StateTable.CHUNK_BITS));
    }
    this.chunks[chunk]!.set(state, (this.size & ((1 << StateTable.CHUNK_BITS) - 1)) * this.words);
    this.slots[slot] = ++this.size;
    if (this.size * 2 > this.slots.length) this.grow();
    return true;
  }

  private holds(index: number, state: Uint32Array): boolean {
    const chunk = this.chunks[index >>> StateTable.CHUNK_BITS]!;
    const start = (index & ((1 << StateTable.CHUNK_BITS) - 1)) * this.words;
    for (let at = 0; at < this.words; at++) if (chunk[start + at] !== state[at]) return false;
    return true;
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 2);
    const mask = this.slots.length - 1;
    for (let index = 0; index < this.size; index++) {
      const chunk = this.chunks[index >>> StateTable.CHUNK_BITS]!;
      const start = (index & ((1 << StateTable.CHUNK_BITS) - 1)) * this.words;
      let slot = hash(chunk, start, this.words) & mask;
      while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
      this.slots[slot] = index + 1;
    }
  }
}

// Jest makes every use of a global slow.
const { imul } = Math;

/** MurmurHash3 (Austin Appleby, public domain), its 32-bit form. */
function hash(words: Uint32Array, start: number, length: number): number {
  let h = 0;
  for (let at = start; at < start + length; at++) {
    let k = imul(words[at]!, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    h ^= imul(k, 0x1b873593);
    h = (h << 13) | (h >>> 19);
    h = (imul(h, 5) + 0xe6546b64) | 0;
  }
  h = imul(h ^ (h >>> 16), 0x85ebca6b);
  h = imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
