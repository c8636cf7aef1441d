const MAX_CHUNK = 512;

/**
 * Items in the order of a key, in chunks: insertion and removal move at most a chunk, and a scan starts at any key
 * without passing the items before it.
 */
export class SortedList<Item, Key> {
  readonly #keyOf: (item: Item) => Key;
  readonly #compare: (left: Key, right: Key) => number;
  readonly #chunks: Item[][] = [];

  constructor(keyOf: (item: Item) => Key, compare: (left: Key, right: Key) => number) {
    this.#keyOf = keyOf;
    this.#compare = compare;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Adds an item whose key is not there yet. */
  insert(item: Item): void {
    const key = this.#keyOf(item);
    const at = Math.max(0, this.#chunkOf(key));
    const chunk = this.#chunks[at];
    if (!chunk) {
      this.#chunks.push([item]);
      return;
    }
    const position = this.#positionIn(chunk, key);
    chunk.splice(position, 0, item);
    if (chunk.length <= MAX_CHUNK) return;
    // Items that come in order, as in a bulk load, leave full chunks behind; others need room in both halves.
    const split = position === MAX_CHUNK ? MAX_CHUNK : MAX_CHUNK / 2;
    this.#chunks.splice(at + 1, 0, chunk.splice(split));
  }

  delete(key: Key): void {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at];
    const position = chunk && this.#positionIn(chunk, key);
    const item = position === undefined ? undefined : chunk?.[position];
    if (!chunk || position === undefined || item === undefined || this.#compare(this.#keyOf(item), key) !== 0)
      return;
    chunk.splice(position, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  /** The items from a key on, or from the first one. */
  *ascending(from?: Key): Generator<Item> {
    let at = from === undefined ? 0 : Math.max(0, this.#chunkOf(from));
    let position = from === undefined ? 0 : this.#positionIn(this.#chunks[at] ?? [], from);
    for (; at < this.#chunks.length; at++, position = 0) {
      const chunk = this.#chunks[at] as Item[];
      for (; position < chunk.length; position++) yield chunk[position] as Item;
    }
  }

  /** The items from a key down, or from the last one. */
  *descending(from?: Key): Generator<Item> {
    let at = from === undefined ? this.#chunks.length - 1 : this.#chunkOf(from);
    let until = from;
    for (; at >= 0; at--, until = undefined) {
      const chunk = this.#chunks[at] as Item[];
      let position = chunk.length - 1;
      if (until !== undefined) {
        position = this.#positionIn(chunk, until);
        const item = chunk[position];
        if (item === undefined || this.#compare(this.#keyOf(item), until) > 0) position--;
      }
      for (; position >= 0; position--) yield chunk[position] as Item;
    }
  }

  /** The last chunk whose first key is at most this one; -1 if all are greater. */
  #chunkOf(key: Key): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const first = (this.#chunks[middle] as Item[])[0] as Item;
      if (this.#compare(this.#keyOf(first), key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Where the first item with at least this key is, or would be. */
  #positionIn(chunk: Item[], key: Key): number {
    let low = 0;
    let high = chunk.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(this.#keyOf(chunk[middle] as Item), key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
