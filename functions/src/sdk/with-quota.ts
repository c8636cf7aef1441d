import type { CallableRequest } from "firebase-functions/v2/https";

import { refusedByQuota, toHttpsError } from "../handlers/https-errors";
import type { ConsumeOptions, QuotaConsumption, QuotaService } from "../quota/quota-service";
import { readOptions } from "../validation";
import type { LoadHttps } from "./load-https";
import { requireFunction, requireMethods } from "./options";
import { costOf, requireRequestCost, type RequestCost } from "./request-cost";

/** Quotas of providers. */
export type QuotaClient = Pick<QuotaService, "check" | "consume" | "refund">;

/** Whose quota the requests of a function consume, and how much of it. */
export interface QuotaOptions<Request> {
  readonly quota: QuotaClient;
  /** Id of the provider that is charged. */
  readonly providerId: (request: Request) => string | Promise<string>;
  /** What a request counts for: a positive integer; 1 unless told. */
  readonly cost?: RequestCost<Request>;
  /** Names the request, so that its repetition is not counted again; nor is it given back if the handler fails. */
  readonly idempotencyKey?: (request: Request) => string | undefined;
}

/** Wraps a handler of `onCall`, see `withQuota` of lib.ts. */
export type WithQuota = <Args extends [CallableRequest, ...unknown[]], Result>(
  handler: (...args: Args) => Result | Promise<Result>,
  options: QuotaOptions<Args[0]>,
) => (...args: Args) => Promise<Result>;

export function createWithQuota(loadHttps: LoadHttps): WithQuota {
  return (handler, given) => {
    requireFunction("handler", handler);
    const { quota, providerId: providerIdOf, cost = 1, idempotencyKey } = readQuotaOptions(given);
    return async (...args) => {
      const [request] = args;
      let providerId: string;
      let options: ConsumeOptions;
      let consumption: QuotaConsumption;
      try {
        providerId = await providerIdOf(request);
        options = { cost: costOf(cost, request), idempotencyKey: idempotencyKey?.(request) };
        consumption = await quota.consume(providerId, options);
      } catch (error) {
        throw toHttpsError(error, (await loadHttps()).HttpsError);
      }
      if (!consumption.allowed) throw refusedByQuota(consumption, (await loadHttps()).HttpsError);
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
  };
}

/** @throws InvalidArgumentError */
function readQuotaOptions<Request>(given: QuotaOptions<Request>): QuotaOptions<Request> {
  const options = readOptions(given, ["quota", "providerId", "cost", "idempotencyKey"]);
  const { quota, providerId, cost, idempotencyKey } = options;
  requireMethods("quota", quota, ["consume", "refund"], "a quota client of createRedisQuota");
  requireFunction("providerId", providerId);
  if (cost !== undefined) requireRequestCost(cost);
  if (idempotencyKey !== undefined) requireFunction("idempotencyKey", idempotencyKey);
  return options as QuotaOptions<Request>;
}
