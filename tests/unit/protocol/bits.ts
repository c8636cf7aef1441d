/** Writes small integers into 32-bit words, one after the other; a {@link BitReader} reads them in the same order. */
export class BitWriter {
  private at = 0;

  constructor(private readonly words: Uint32Array) {
    words.fill(0);
  }

  /** @throws RangeError if the value needs more bits, rather than pass for another one. */
  put(value: number, bits: number): void {
    if (value < 0 || value >>> bits !== 0) throw new RangeError(`${value} does not fit in ${bits} bits`);
    const word = this.at >>> 5;
    const shift = this.at & 31;
    if (word + (shift + bits > 32 ? 1 : 0) >= this.words.length) throw new RangeError("Out of words");
    this.words[word]! |= value << shift;
    if (shift + bits > 32) this.words[word + 1]! |= value >>> (32 - shift);
    this.at += bits;
  }

  flag(value: boolean): void {
    this.put(value ? 1 : 0, 1);
  }
}

export class BitReader {
  private at = 0;

  constructor(private readonly words: Uint32Array) {}

  take(bits: number): number {
    const word = this.at >>> 5;
    const shift = this.at & 31;
    let value = this.words[word]! >>> shift;
    if (shift + bits > 32) value |= this.words[word + 1]! << (32 - shift);
    this.at += bits;
    return value & ((1 << bits) - 1);
  }

  flag(): boolean {
    return this.take(1) === 1;
  }
}
