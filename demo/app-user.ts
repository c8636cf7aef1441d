import { setTimeout as sleep } from "node:timers/promises";
import type { EmulatedProject } from "../emulator/emulated-project.ts";
import type { QuotaCheck, QuotaConsumption } from "../functions/dist/quota/quota-service.js";
import type { Decision } from "../functions/dist/rate-limit/decision.js";
import { callFunction } from "../tests/harness/call-function.ts";
import { signIn } from "../tests/harness/sign-in.ts";
import { measured } from "./measured.ts";

/** On a busy machine the emulator takes many seconds to start four processes for a burst of calls. */
const ANSWER_TIMEOUT_MS = 60_000;

/** An answer, and how long it took from the request to the parsed answer. */
export interface Timed<Answer> {
  readonly answer: Answer;
  readonly ms: number;
}

/** A signed-in user of the app, who calls the extension's functions over HTTP as the client SDKs do. */
export class AppUser {
  readonly #project: EmulatedProject;
  readonly #idToken: string;

  private constructor(project: EmulatedProject, idToken: string) {
    this.#project = project;
    this.#idToken = idToken;
  }

  static async signIn(project: EmulatedProject, uid: string): Promise<AppUser> {
    return new AppUser(project, await signIn(project, { uid }));
  }

  async checkQuota(providerId: string): Promise<Timed<QuotaCheck>> {
    return tellCall(await this.#call<QuotaCheck>("checkQuota", { providerId }));
  }

  /** Counts a call of a provider; only the provider itself, and administrators, may. */
  async consumeQuota(providerId: string): Promise<Timed<QuotaConsumption>> {
    return tellCall(await this.#call<QuotaConsumption>("consumeQuota", { providerId }));
  }

  async checkRateLimit(data: { policy: string; peek?: boolean }): Promise<Timed<Decision>> {
    const timed = await this.#call<Decision>("checkRateLimit", data);
    const { source, allowed } = timed.answer;
    measured.emit("decision", { policy: data.policy, source, allowed });
    return timed;
  }

  /** Asks the app's own function: the one that goes by the SDK, or the one of before. */
  chat(
    providerId: string,
    name: "aiChat" | "aiChatBefore" = "aiChat",
  ): Promise<Timed<{ remaining: number; source: string }>> {
    return this.#callUrl(this.#project.appFunctionUrl(name), name, { providerId, question: "how?" });
  }

  #call<Answer>(name: string, data: unknown): Promise<Timed<Answer>> {
    return this.#callUrl(this.#project.functionUrl(name), name, data);
  }

  /** @throws CallableError as the function answers it; Error when it does not answer in time */
  async #callUrl<Answer>(url: string, name: string, data: unknown): Promise<Timed<Answer>> {
    const startedAt = performance.now();
    const call = callFunction(url, data, { idToken: this.#idToken });
    const answer = (await withinTime(call, name)) as Answer;
    return { answer, ms: performance.now() - startedAt };
  }
}

function tellCall<Answer extends QuotaCheck>(timed: Timed<Answer>): Timed<Answer> {
  measured.emit("quotaCall", { way: "callable", source: timed.answer.source, ms: timed.ms });
  return timed;
}

async function withinTime<T>(call: Promise<T>, name: string): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ANSWER_TIMEOUT_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${name} gave no answer within ${ANSWER_TIMEOUT_MS / 1_000} s.`);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    late.catch(() => {}); // its end is the abort
    timer.abort();
  }
}
