/** Chance, repeatable where there is a seed. */
export class Dice {
  readonly #random: () => number;

  constructor(seed?: number) {
    this.#random = seed === undefined ? Math.random : mulberry32(seed);
  }

  falls(probability: number): boolean {
    return this.#random() < probability;
  }

  /** A number, or one of a range. */
  within(range: number | readonly [min: number, max: number]): number {
    if (typeof range === "number") return range;
    return range[0] + this.#random() * (range[1] - range[0]);
  }

  /** The items in random order. */
  shuffle<Item>(items: readonly Item[]): Item[] {
    return items
      .map((item) => ({ item, rank: this.#random() }))
      .sort((left, right) => left.rank - right.rank)
      .map(({ item }) => item);
  }
}

/** Tommy Ettinger's Mulberry32: small, and good enough to choose faults by. */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
