import { type CollectionReference, FieldValue } from "firebase-admin/firestore";
import type { Services } from "../../functions/dist/services.js";
import { measured } from "../measured.ts";

const EVERY_MS = 20;
const CHECKS_PER_TURN = 2;
/** A provider is seen online: one document changes each second, and is mirrored. */
const TURNS_PER_CHANGE = 50;
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

export interface LoadOptions {
  readonly providers: CollectionReference;
  readonly providerIds: readonly string[];
  /**
   * Whether Redis runs. Without it the mirror tries again for 20 s, and a few changes would occupy all the functions that
   * the emulator runs at a time.
   */
  readonly canMirror: () => boolean;
  /** Told of each call that ended in an error. */
  readonly failed: () => void;
}

/** An app's traffic: quota checks and rate limits asked in this process, through the SDK's services, and changes. */
export class Load {
  readonly #options: LoadOptions;
  #services: Services;
  #timer: NodeJS.Timeout | undefined;
  #turn = 0;
  #inFlight = 0;

  constructor(services: Services, options: LoadOptions) {
    this.#services = services;
    this.#options = options;
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
    const turn = this.#turn++;
    for (let i = 0; i < CHECKS_PER_TURN; i++) this.#track(this.#check(turn * CHECKS_PER_TURN + i));
    if (turn % TURNS_PER_CHANGE === 0 && this.#options.canMirror()) this.#track(this.#change(turn));
    for (const { policy, perSecond, subjects } of POLICY_LOADS) {
      const isDue = Math.random() < (perSecond * EVERY_MS) / 1_000;
      if (isDue) this.#track(this.#decide(policy, `user-${Math.floor(Math.random() * subjects)}`));
    }
  }

  async #check(number: number): Promise<void> {
    const providerId = this.#providerId(number);
    const startedAt = performance.now();
    const { source } = await this.#services.quotaService.check(providerId);
    measured.emit("quotaCall", { way: "in-process", source, ms: performance.now() - startedAt });
  }

  async #decide(policy: string, subject: string): Promise<void> {
    const { source, allowed } = await this.#services.rateLimiter.check(policy, subject);
    measured.emit("decision", { policy, source, allowed });
  }

  async #change(turn: number): Promise<void> {
    const { providers } = this.#options;
    await providers.doc(this.#providerId(turn)).update({ lastOnlineAt: FieldValue.serverTimestamp() });
  }

  #providerId(number: number): string {
    const { providerIds } = this.#options;
    return providerIds[number % providerIds.length]!;
  }

  #track(call: Promise<void>): void {
    this.#inFlight++;
    call.catch(this.#options.failed).finally(() => this.#inFlight--);
  }
}
