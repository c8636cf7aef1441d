import { type CollectionReference, FieldValue } from "firebase-admin/firestore";
import type { Services } from "../../functions/dist/services.js";
import { measured } from "../measured.ts";
import { committed, type ProviderWrite } from "../mirror-watch.ts";

const EVERY_MS = 20;
const CHECKS_PER_TURN = 2;
/** A provider is seen online: a document changes each second, unless the change before is still on its way to Redis. */
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
  /** Waits until a change has reached Redis, or for so long that it may be given up. */
  readonly untilMirrored: (write: ProviderWrite) => Promise<unknown>;
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
  #isChanging = false;

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
    if (turn % TURNS_PER_CHANGE === 0 && !this.#isChanging) this.#track(this.#change(turn));
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

  /** One after the other: those that wait for Redis or a process would take the few that the emulator runs at a time. */
  async #change(turn: number): Promise<void> {
    const { providers, untilMirrored } = this.#options;
    const id = this.#providerId(turn);
    this.#isChanging = true;
    try {
      const change = providers.doc(id).update({ lastOnlineAt: FieldValue.serverTimestamp() });
      await untilMirrored(await committed(id, change));
    } finally {
      this.#isChanging = false;
    }
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
