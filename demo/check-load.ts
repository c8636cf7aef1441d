import { setTimeout as sleep } from "node:timers/promises";
import type { AppUser } from "./app-user.ts";

/** One check of the load. Times are those of `performance.now()`. */
export interface LoadSample {
  readonly startedAt: number;
  readonly endedAt: number;
  /** Who answered; absent if there was no answer. */
  readonly source?: "redis" | "firestore";
  readonly error?: string;
}

const CALLERS = 2;
const PAUSE_MS = 5;

/** Checks that go on until they are told to stop: a few callers, each with one check after the other. */
export class CheckLoad {
  readonly samples: LoadSample[] = [];
  #isStopped = false;
  readonly #callers: Promise<void>[];

  constructor(user: AppUser, providerIds: readonly string[]) {
    this.#callers = Array.from({ length: CALLERS }, async (_, caller) => {
      for (let turn = caller; !this.#isStopped; turn += CALLERS) {
        this.samples.push(await timeCheck(user, providerIds[turn % providerIds.length]!));
        await sleep(PAUSE_MS);
      }
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#callers);
  }
}

async function timeCheck(user: AppUser, providerId: string): Promise<LoadSample> {
  const startedAt = performance.now();
  try {
    const { answer } = await user.checkQuota(providerId);
    return { startedAt, endedAt: performance.now(), source: answer.source };
  } catch (error) {
    return { startedAt, endedAt: performance.now(), error: (error as Error).message };
  }
}
