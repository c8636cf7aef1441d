import { status } from "@grpc/grpc-js";
import { Dice } from "./dice.ts";
import { InvalidFaults, isDelay, isDelayRange, isProbability, parseFaults, type Checks } from "./faults.ts";
import { GrpcError } from "./grpc-error.ts";

/** How gRPC calls deviate from being answered. The default of each is to deviate in nothing. */
export interface CallFaults {
  /** What calls are answered with in place of their answer. */
  status?: FaultStatus;
  /** What the status says; otherwise that it is a fault. */
  message?: string;
  /** The probability that a call meets the status; 1 if it is left out. */
  probability?: number;
  /** How long each call is delayed, or the range to choose from. */
  delayMs?: number | [min: number, max: number];
  /** Whether status and delay come before a call is carried out (`request`, the default) or after it (`answer`). */
  at?: "request" | "answer";
  /** The calls that are meant, such as `Commit`; all if it is left out. */
  methods?: string[];
  /** Makes the choices repeatable. */
  seed?: number;
}

/** How many calls have met a fault since the faults were set. */
export interface CallStats {
  delayed: number;
  failed: number;
}

const STATUSES = [
  "ABORTED",
  "DEADLINE_EXCEEDED",
  "INTERNAL",
  "NOT_FOUND",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "UNAUTHENTICATED",
  "UNAVAILABLE",
] as const;
type FaultStatus = (typeof STATUSES)[number];

const CHECKS: Checks<CallFaults> = {
  status: { valid: `one of ${STATUSES.join(", ")}`, isValid: (value) => STATUSES.includes(value as never) },
  message: { valid: "a text", isValid: (value) => typeof value === "string" },
  probability: { valid: "a probability from 0 to 1", isValid: isProbability },
  delayMs: {
    valid: "a number of milliseconds, at least 0, or [min, max]",
    isValid: (value) => isDelay(value) || isDelayRange(value),
  },
  at: { valid: '"request" or "answer"', isValid: (value) => value === "request" || value === "answer" },
  methods: {
    valid: 'a list of method names, such as ["Commit"]',
    isValid: (value) =>
      Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string"),
  },
  seed: { valid: "an integer", isValid: Number.isSafeInteger },
};

/** The faults of a stand-in's calls, of all projects. */
export class CallSwitches {
  #faults: CallFaults = {};
  #dice = new Dice();
  #stats: CallStats = { delayed: 0, failed: 0 };

  get state(): { faults: CallFaults; stats: CallStats } {
    return { faults: this.#faults, stats: this.#stats };
  }

  set(body: unknown): void {
    const faults = parseFaults<CallFaults>(body, CHECKS);
    if (faults.probability !== undefined && faults.status === undefined)
      throw new InvalidFaults("probability is that of status, which must be given too.");
    this.#faults = faults;
    this.#dice = new Dice(faults.seed);
    this.#stats = { delayed: 0, failed: 0 };
  }

  /**
   * Carries a call out as the faults have it; without any at once.
   *
   * @param isCancelled whether the caller has gone; a call that is still to be carried out then is not
   * @throws GrpcError of the fault's status
   */
  async answer<T>(method: string, isCancelled: () => boolean, work: () => T): Promise<T> {
    if (this.#faults.at !== "answer") return this.begin(method, isCancelled, work);
    const strike = this.#strike(method);
    const answer = work();
    await strike?.();
    return answer;
  }

  /** {@link answer} for what sends its answer itself, as a stream: it meets its faults before it begins. */
  async begin<T>(method: string, isCancelled: () => boolean, work: () => T): Promise<Awaited<T>> {
    const strike = this.#strike(method);
    if (strike) {
      await strike();
      if (isCancelled()) throw new GrpcError(status.CANCELLED, "The caller has gone.");
    }
    return await work();
  }

  /** What is to happen to a call, if anything. */
  #strike(method: string): (() => Promise<void>) | undefined {
    const { status: name, message, probability = 1, delayMs, methods } = this.#faults;
    if ((name === undefined && delayMs === undefined) || methods?.includes(method) === false)
      return undefined;
    const stats = this.#stats;
    const waitMs = delayMs === undefined ? 0 : this.#dice.within(delayMs);
    const fails = name !== undefined && this.#dice.falls(probability);
    return async () => {
      if (waitMs > 0) {
        stats.delayed++;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
      if (!fails) return;
      stats.failed++;
      throw new GrpcError(status[name], message ?? `${method} meets a fault that was asked for.`);
    };
  }
}
