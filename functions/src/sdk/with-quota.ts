import type { CallableRequest } from "firebase-functions/v2/https";

import type { ConsumeOptions, QuotaService } from "../quota/quota-service";
import { loadHttpsErrors } from "./https-errors";

/** Quotas of providers. */
export type QuotaClient = Pick<QuotaService, "check" | "consume" | "refund">;

/** Whose quota the requests of a function consume, and how much of it. */
export interface QuotaOptions<Request> {
  readonly quota: QuotaClient;
  /** Id of the provider that is charged. */
  readonly providerId: (request: Request) => string | Promise<string>;
  /** What a request counts for: a positive integer; 1 unless told. */
  readonly cost?: number | ((request: Request) => number);
  /** Names the request, so that its repetition is not counted again; nor is it given back if the handler fails. */
  readonly idempotencyKey?: (request: Request) => string | undefined;
}

/**
 * A handler of `onCall` that is only called while the provider has quota left; each call consumes some, and gets it back
 * if the handler fails.
 *
 * The wrapped handler throws HttpsError: `resource-exhausted` with where the provider stands as its details;
 * `deadline-exceeded` when it is not known whether the call was counted; `unavailable` when neither Redis nor Firestore
 * answers; `invalid-argument` for a provider id, cost or key that cannot be.
 *
 * @example
 * export const aiChat = onCall(withQuota(answerChat, { quota, providerId: (request) => request.data.providerId }));
 */
export function withQuota<Args extends [CallableRequest, ...unknown[]], Result>(
  handler: (...args: Args) => Result | Promise<Result>,
  { quota, providerId: providerIdOf, cost = 1, idempotencyKey }: QuotaOptions<Args[0]>,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    const [request] = args;
    const providerId = await providerIdOf(request);
    const options: ConsumeOptions = {
      cost: typeof cost === "number" ? cost : cost(request),
      idempotencyKey: idempotencyKey?.(request),
    };
    const consumption = await quota.consume(providerId, options).catch((error: unknown) => {
      throw loadHttpsErrors().toHttpsError(error);
    });
    if (!consumption.allowed) throw loadHttpsErrors().refusedByQuota(consumption);
    try {
      return await handler(...args);
    } catch (error) {
      // A request with a key can be repeated for what it has consumed. The handler's error is what the caller is to
      // see, also if nothing can be given back.
      if (options.idempotencyKey === undefined)
        await quota.refund(providerId, options).catch(() => undefined);
      throw error;
    }
  };
}
