import type { DocumentChange } from "./change-log.ts";
import { Deliveries, type SendEvent } from "./deliveries.ts";
import { newTriggerEvent } from "./trigger-events.ts";
import { type Trigger, isTriggeredBy } from "./triggers.ts";

/** Turns commits into events for the triggers that match them, and hands these to the project's deliveries. */
export class Events {
  readonly #send: SendEvent;
  readonly #triggers = new Map<string, Trigger>();
  readonly #deliveries = new Map<string, Deliveries>();

  constructor(send: SendEvent) {
    this.#send = send;
  }

  /** Adds a trigger, or replaces the one with the same key. */
  register(trigger: Trigger): void {
    this.#triggers.set(`${trigger.project}/${trigger.key}`, trigger);
  }

  deliveriesOf(project: string): Deliveries {
    let deliveries = this.#deliveries.get(project);
    if (!deliveries) {
      deliveries = new Deliveries(this.#send);
      this.#deliveries.set(project, deliveries);
    }
    return deliveries;
  }

  onCommit(databaseName: string, changes: readonly DocumentChange[]): void {
    if (this.#triggers.size === 0) return;
    for (const change of changes) {
      for (const trigger of this.#triggers.values()) {
        if (databaseName !== `projects/${trigger.project}/databases/${trigger.database}`) continue;
        if (isTriggeredBy(trigger, change))
          this.deliveriesOf(trigger.project).accept(newTriggerEvent(trigger, change));
      }
    }
  }
}
