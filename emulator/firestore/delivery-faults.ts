import { Dice } from "./dice.ts";
import { isDelay, isDelayRange, isProbability, parseFaults, type Checks } from "./faults.ts";

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

const CHECKS: Checks<DeliveryFaults> = {
  drop: { valid: "a probability from 0 to 1", isValid: isProbability },
  duplicate: { valid: "a probability from 0 to 1", isValid: isProbability },
  delayMs: {
    valid: "a number of milliseconds, at least 0, or [min, max]",
    isValid: (value) => isDelay(value) || isDelayRange(value),
  },
  reorder: { valid: "true or false", isValid: (value) => typeof value === "boolean" },
  seed: { valid: "an integer", isValid: Number.isSafeInteger },
};

/** @throws InvalidFaults */
export function parseDeliveryFaults(body: unknown): DeliveryFaults {
  return parseFaults(body, CHECKS);
}

/** Chooses each event's faults. */
export class FaultDice extends Dice {
  readonly faults: DeliveryFaults;

  constructor(faults: DeliveryFaults) {
    super(faults.seed);
    this.faults = faults;
  }

  isDropped(): boolean {
    return this.falls(this.faults.drop ?? 0);
  }

  isDuplicated(): boolean {
    return this.falls(this.faults.duplicate ?? 0);
  }

  delayMs(): number {
    return this.within(this.faults.delayMs ?? (this.faults.reorder ? REORDER_DELAY_MS : 0));
  }
}
