import { setTimeout as sleep } from "node:timers/promises";
import { type DeliveryFaults, FaultDice } from "./delivery-faults.ts";
import type { TriggerEvent } from "./trigger-events.ts";

const MAX_CONCURRENT = 32;
/** How many delivered events are remembered for redelivery. */
const MAX_REMEMBERED = 10_000;

export type ReleaseOrder = "commit" | "reverse" | "random";

export interface DeliveryStats {
  /** Neither delivered nor failed yet, those on hold included. */
  pending: number;
  held: number;
  delivered: number;
  failed: number;
  dropped: number;
  /** Deliveries beyond the first of an event, by fault or by redelivery. */
  duplicated: number;
}

export interface Redelivery {
  /** The path of the document. */
  document: string;
  /** Which of its delivered events, as in Array.at: 0 is the oldest, -1 the latest. */
  at: number;
  /** Only this trigger's events. */
  trigger?: string;
}

/** Sends an event; true if the receiver took it. */
export type SendEvent = (event: TriggerEvent) => Promise<boolean>;

/**
 * One project's deliveries. Unless told otherwise each event is delivered at least once, and the events of one document
 * to one trigger in the order of commits; different documents do not wait for each other, at most 32 are on their way
 * at once.
 */
export class Deliveries {
  readonly #send: SendEvent;
  #dice = new FaultDice({});
  #stats: DeliveryStats = noDeliveries();
  #held: TriggerEvent[] | undefined;
  /** In the order of their first delivery. */
  readonly #remembered = new Set<TriggerEvent>();
  /** What everything not yet scheduled waits for: the release of what was held before it. */
  #released: Promise<void> = Promise.resolve();
  /** The last delivery of each document to each trigger. */
  readonly #lanes = new Map<string, Promise<void>>();
  readonly #slots = new Slots(MAX_CONCURRENT);

  constructor(send: SendEvent) {
    this.#send = send;
  }

  get faults(): DeliveryFaults {
    return this.#dice.faults;
  }

  get stats(): DeliveryStats {
    return { ...this.#stats, held: this.#held?.length ?? 0 };
  }

  setFaults(faults: DeliveryFaults): void {
    this.#dice = new FaultDice(faults);
  }

  /** Back to faithful delivery, what is on hold included; counts from zero what is not under way. */
  reset(): void {
    this.setFaults({});
    this.release("commit");
    this.#stats = { ...noDeliveries(), pending: this.#stats.pending };
  }

  accept(event: TriggerEvent): void {
    if (this.#dice.isDropped()) {
      this.#stats.dropped++;
      return;
    }
    this.#holdOrSchedule(event);
    if (!this.#dice.isDuplicated()) return;
    this.#stats.duplicated++;
    this.#holdOrSchedule(event);
  }

  /** Holds back every delivery from now on; what is already under way arrives. */
  hold(): void {
    this.#held ??= [];
  }

  /** Delivers what is on hold, one after another in this order, and then goes on as before; says how many there were. */
  release(order: ReleaseOrder): number {
    const held = this.#held ?? [];
    this.#held = undefined;
    const ordered =
      order === "commit" ? held : order === "reverse" ? held.reverse() : this.#dice.shuffle(held);
    this.#released = this.#released.then(async () => {
      for (const event of ordered) await this.#deliver(event);
    });
    return held.length;
  }

  /** Delivers old events again, unchanged, ahead of what waits; says how many. */
  redeliver({ document, at, trigger }: Redelivery): number {
    const byTrigger = new Map<string, TriggerEvent[]>();
    for (const event of this.#remembered) {
      const { key } = event.trigger;
      if (event.change.path !== document || (trigger !== undefined && key !== trigger)) continue;
      byTrigger.set(key, [...(byTrigger.get(key) ?? []), event]);
    }
    const events = [...byTrigger.values()].flatMap(
      (ofTrigger) => ofTrigger.sort((left, right) => left.change.time - right.change.time).at(at) ?? [],
    );
    for (const event of events) {
      this.#stats.pending++;
      this.#stats.duplicated++;
      void this.#slots.run(() => this.#deliver(event));
    }
    return events.length;
  }

  #holdOrSchedule(event: TriggerEvent): void {
    this.#stats.pending++;
    if (this.#held) this.#held.push(event);
    else this.#schedule(event);
  }

  #schedule(event: TriggerEvent): void {
    const dueMs = performance.now() + this.#dice.delayMs();
    const whenDue = async (): Promise<void> => {
      const delayMs = dueMs - performance.now();
      if (delayMs > 0) await sleep(delayMs);
      await this.#slots.run(() => this.#deliver(event));
    };
    if (this.faults.reorder) {
      void this.#released.then(whenDue);
      return;
    }
    const lane = `${event.trigger.key} ${event.change.path}`;
    const delivered = Promise.all([this.#released, this.#lanes.get(lane)]).then(whenDue);
    this.#lanes.set(lane, delivered);
    void delivered.then(() => {
      if (this.#lanes.get(lane) === delivered) this.#lanes.delete(lane);
    });
  }

  async #deliver(event: TriggerEvent): Promise<void> {
    const isTaken = await this.#send(event);
    this.#stats.pending--;
    if (!isTaken) {
      this.#stats.failed++;
      return;
    }
    this.#stats.delivered++;
    this.#remembered.add(event);
    if (this.#remembered.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#remembered) {
      this.#remembered.delete(oldest);
      return;
    }
  }
}

/** Runs at most so many at once, in the order of asking. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async run(work: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

function noDeliveries(): DeliveryStats {
  return { pending: 0, held: 0, delivered: 0, failed: 0, dropped: 0, duplicated: 0 };
}
