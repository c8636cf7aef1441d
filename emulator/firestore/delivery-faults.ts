/** How deliveries deviate from what Google's emulator would do. The default of each is to deviate in nothing. */
export interface DeliveryFaults {
  /** The probability that an event is never delivered. */
  drop?: number;
  /** The probability that an event is delivered twice. */
  duplicate?: number;
  /** How long each delivery is delayed, or the range to choose from. */
  delayMs?: number | [min: number, max: number];
  /** Lets the events of one document overtake each other; without `delayMs`, each is delayed by up to 100 ms for it. */
  reorder?: boolean;
  /** Makes the choices repeatable: the same events in the same order meet the same faults. */
  seed?: number;
}

const REORDER_DELAY_MS: [number, number] = [0, 100];

/** A switch that is not as it must be; the message names it. */
export class InvalidFaults extends Error {}

export function parseDeliveryFaults(body: unknown): DeliveryFaults {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new InvalidFaults(`The body must be an object of ${Object.keys(CHECKS).join(", ")}.`);
  }
  for (const [name, value] of Object.entries(body)) {
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name as keyof DeliveryFaults] : undefined;
    if (!check)
      throw new InvalidFaults(`"${name}" is no switch; there are ${Object.keys(CHECKS).join(", ")}.`);
    if (!check.isValid(value))
      throw new InvalidFaults(`${name} must be ${check.valid}, not ${JSON.stringify(value)}.`);
  }
  return body;
}

/** Chooses each event's faults. */
export class FaultDice {
  readonly faults: DeliveryFaults;
  readonly #random: () => number;

  constructor(faults: DeliveryFaults) {
    this.faults = faults;
    this.#random = faults.seed === undefined ? Math.random : mulberry32(faults.seed);
  }

  isDropped(): boolean {
    return this.#random() < (this.faults.drop ?? 0);
  }

  isDuplicated(): boolean {
    return this.#random() < (this.faults.duplicate ?? 0);
  }

  delayMs(): number {
    const range = this.faults.delayMs ?? (this.faults.reorder ? REORDER_DELAY_MS : 0);
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

const CHECKS: Record<keyof DeliveryFaults, { valid: string; isValid: (value: unknown) => boolean }> = {
  drop: { valid: "a probability from 0 to 1", isValid: isProbability },
  duplicate: { valid: "a probability from 0 to 1", isValid: isProbability },
  delayMs: {
    valid: "a number of milliseconds, at least 0, or [min, max]",
    isValid: (value) => (Array.isArray(value) ? isRange(value) : isDelay(value)),
  },
  reorder: { valid: "true or false", isValid: (value) => typeof value === "boolean" },
  seed: { valid: "an integer", isValid: Number.isSafeInteger },
};

function isProbability(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 1;
}

function isDelay(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function isRange(value: unknown[]): boolean {
  return value.length === 2 && value.every(isDelay) && Number(value[0]) <= Number(value[1]);
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
