import type { Services } from "../../functions/dist/services.js";
import { measured } from "../measured.ts";

const EVERY_MS = 20;
const CHECKS_PER_TURN = 2;
/** Calls that wait for an answer: no more are begun than this, while Redis hangs. */
const MOST_IN_FLIGHT = 200;

/** A policy's requests: a little more than it allows, so that some are refused. */
interface PolicyLoad {
  readonly policy: string;
  readonly perSecond: number;
  readonly subjects: number;
}

const POLICY_LOADS: readonly PolicyLoad[] = [
  { policy: "ai-chat", perSecond: 6, subjects: 24 },
  { policy: "search", perSecond: 28, subjects: 8 },
  { policy: "booking", perSecond: 7, subjects: 10 },
];

/** An app's traffic: quota checks and rate limits asked in this process, through the SDK's services. */
export class Load {
  readonly #providerIds: readonly string[];
  readonly #failed: () => void;
  #services: Services;
  #timer: NodeJS.Timeout | undefined;
  #turn = 0;
  #inFlight = 0;

  constructor(services: Services, providerIds: readonly string[], failed: () => void) {
    this.#services = services;
    this.#providerIds = providerIds;
    this.#failed = failed;
  }

  get isOn(): boolean {
    return this.#timer !== undefined;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#takeTurn(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Goes on with other services, in another mode; those so far are closed. */
  use(services: Services): void {
    this.#services.close();
    this.#services = services;
  }

  close(): void {
    this.stop();
    this.#services.close();
  }

  #takeTurn(): void {
    if (this.#inFlight >= MOST_IN_FLIGHT) return;
    for (let i = 0; i < CHECKS_PER_TURN; i++) this.#track(this.#check());
    for (const { policy, perSecond, subjects } of POLICY_LOADS) {
      const isDue = Math.random() < (perSecond * EVERY_MS) / 1_000;
      if (isDue) this.#track(this.#decide(policy, `user-${Math.floor(Math.random() * subjects)}`));
    }
  }

  async #check(): Promise<void> {
    const providerId = this.#providerIds[this.#turn++ % this.#providerIds.length]!;
    const startedAt = performance.now();
    const { source } = await this.#services.quotaService.check(providerId);
    measured.emit("quotaCall", { way: "in-process", source, ms: performance.now() - startedAt });
  }

  async #decide(policy: string, subject: string): Promise<void> {
    const { source, allowed } = await this.#services.rateLimiter.check(policy, subject);
    measured.emit("decision", { policy, source, allowed });
  }

  #track(call: Promise<void>): void {
    this.#inFlight++;
    call.catch(this.#failed).finally(() => this.#inFlight--);
  }
}
