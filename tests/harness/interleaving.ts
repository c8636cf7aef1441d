/**
 * What happens to one step instead of its taking its course. `crash`: the process ends before the step, or after its
 * effect and before it learns of it; it takes no further step. `lost`: the request never arrives (`before`), or its
 * reply does not (`after`), and the process cannot tell which. `unreachable`: it cannot be sent, and the process knows.
 */
export type Fault = "crash before" | "crash after" | "lost before" | "lost after" | "unreachable";

/** How what is stepped reports that it was not reached, or that its reply was lost. */
export type Failure = (outcome: "not-executed" | "unknown") => Error;

/** The process that took the step is gone; nobody is told. */
class Crash extends Error {
  override readonly name = "Crash";
}

interface WaitingStep {
  readonly actor: string;
  readonly label: string;
  readonly take: () => Promise<void>;
  readonly abandon: () => void;
}

/** The label of a step that has no effect. */
export const IDLE = "idle";

/** Macrotasks within which whatever needs no I/O goes on to its next step (a Batcher gathers for one). */
const TURNS_TO_SETTLE = 4;
const STUCK_AFTER_MS = 5000;

/**
 * Runs concurrent actors one step at a time, in an order that the test chooses. A step is one effect on the outside
 * world; between two steps an actor only computes. As no two steps are ever under way together, and each choice is made
 * when every actor waits at its next step, the same choices give the same run.
 */
export class Interleaving {
  readonly trace: string[] = [];
  private readonly waiting: WaitingStep[] = [];
  private readonly running = new Set<Actor>();
  private failure: unknown;
  private wake: () => void = () => undefined;

  /** @param choices which of the waiting steps is taken, one number for each; when they are used up, the oldest */
  constructor(private readonly choices: Iterator<number>) {}

  /** @param faults what happens to the actor's steps, by their order, the first being 0; idle ones do not count */
  actor(name: string, faults: ReadonlyMap<number, Fault> = new Map()): Actor {
    return new Actor(name, faults, {
      park: (step) => {
        this.waiting.push(step);
        this.wake();
      },
      crashed: () => {
        for (const step of this.waiting.filter(({ actor }) => actor === name)) {
          this.waiting.splice(this.waiting.indexOf(step), 1);
          step.abandon();
        }
      },
    });
  }

  /** Starts an actor's work; what it throws {@link run} throws, unless it has crashed. */
  start(actor: Actor, work: () => Promise<unknown>): void {
    this.running.add(actor);
    const end = (error?: unknown) => {
      this.running.delete(actor);
      if (error !== undefined && !actor.hasCrashed) this.failure ??= error;
      this.wake();
    };
    work().then(() => end(), end);
  }

  /** Whether an actor waits at a step of this label. */
  isWaitingAt(label: string): boolean {
    return this.waiting.some((step) => step.label === label);
  }

  /** Takes steps until all actors have ended; `observe` is called after each. */
  async run(observe: (actor: string, label: string) => Promise<void>): Promise<void> {
    for (;;) {
      await this.untilAllWait();
      if (this.failure !== undefined) throw this.failure as Error;
      if (this.waiting.length === 0) return;
      const next = this.choices.next();
      const [step] = this.waiting.splice(next.done ? 0 : next.value % this.waiting.length, 1);
      await step!.take();
      await observe(step!.actor, step!.label);
    }
  }

  private async untilAllWait(): Promise<void> {
    const deadlineMs = performance.now() + STUCK_AFTER_MS;
    for (;;) {
      for (let turn = 0; turn < TURNS_TO_SETTLE; turn++)
        await new Promise((resolve) => setImmediate(resolve));
      const busy = [...this.running].find(({ name }) => !this.waiting.some(({ actor }) => actor === name));
      if (!busy) return;
      if (performance.now() > deadlineMs) throw new Error(`${busy.name} neither takes a step nor ends.`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

interface Stage {
  park(step: WaitingStep): void;
  crashed(): void;
}

/** One process of an interleaving. */
export class Actor {
  private taken = 0;
  private crashed = false;

  constructor(
    readonly name: string,
    private readonly faults: ReadonlyMap<number, Fault>,
    private readonly stage: Stage,
  ) {}

  get hasCrashed(): boolean {
    return this.crashed;
  }

  /** Waits for this actor's turn, then has the effect, or the fault that is planned for this step. */
  step<T>(label: string, effect: () => Promise<T>, failure?: Failure): Promise<T> {
    if (this.crashed) return Promise.reject(new Crash());
    return new Promise((resolve, reject) => {
      const take = async () => {
        try {
          resolve(await (label === IDLE ? effect() : this.take(effect, failure)));
        } catch (error) {
          reject(error as Error);
        }
      };
      this.stage.park({ actor: this.name, label, take, abandon: () => reject(new Crash()) });
    });
  }

  /** Lets others go first: as many steps without effect. */
  async idle(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) await this.step(IDLE, () => Promise.resolve());
  }

  private async take<T>(effect: () => Promise<T>, failure: Failure | undefined): Promise<T> {
    const fault = this.faults.get(this.taken++);
    switch (fault) {
      case undefined:
        return effect();
      case "crash before":
      case "crash after":
        if (fault === "crash after") await effect().catch(() => undefined);
        this.crashed = true;
        this.stage.crashed();
        throw new Crash();
      case "lost before":
      case "lost after":
      case "unreachable":
        if (!failure) return effect();
        if (fault === "lost after") await effect();
        throw failure(fault === "unreachable" ? "not-executed" : "unknown");
    }
  }
}
