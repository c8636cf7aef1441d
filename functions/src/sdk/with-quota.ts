import type { CallableRequest, CallableResponse } from "firebase-functions/v2/https";

import { withDeadline } from "../deadline";
import { alreadyRun, refusedByQuota, toHttpsError } from "../handlers/https-errors";
import type { ConsumeOptions, QuotaConsumption, QuotaService } from "../quota/quota-service";
import { formatValue, InvalidArgumentError, readOptions } from "../validation";
import type { LoadHttps } from "./load-https";
import { requireFunction, requireMethods } from "./options";
import { costOf, requireRequestCost, type RequestCost } from "./request-cost";

/** Quotas of providers. */
export type QuotaClient = Pick<QuotaService, "check" | "consume" | "refund" | "invalidate" | "claimRerun">;

/** Whose quota the requests of a function consume, and how much of it. */
export interface QuotaOptions<Request> {
  readonly quota: QuotaClient;
  /** Id of the provider that is charged. */
  readonly providerId: (request: Request) => string | Promise<string>;
  /** What a request counts for: a positive integer; 1 unless told. */
  readonly cost?: RequestCost<Request>;
  /**
   * Names the request, so that its repetition is not counted again. A repetition runs the handler if the first run has
   * not finished, and at most once; otherwise it throws `already-exists`.
   */
  readonly idempotencyKey?: (request: Request) => string | undefined;
  /**
   * When a request is refunded whose handler throws: unless output was streamed before (`error-before-output`, the
   * default), always (`error`), or never. With an idempotency key, only after the repeated run: the first can be repeated
   * for what it has consumed.
   */
  readonly refundOn?: (typeof REFUND_ON)[number];
}

/** How long the result of a run waits until its end is recorded. */
const MAX_END_MS = 1000;

const REFUND_ON = ["error-before-output", "error", "never"] as const;

/** Wraps a handler of `onCall`, see `withQuota` of lib.ts. */
export type WithQuota = <Args extends [CallableRequest, ...unknown[]], Result>(
  handler: (...args: Args) => Result | Promise<Result>,
  options: QuotaOptions<Args[0]>,
) => (...args: Args) => Promise<Result>;

export function createWithQuota(loadHttps: LoadHttps): WithQuota {
  return (handler, given) => {
    requireFunction("handler", handler);
    const { quota, providerId: providerIdOf, cost = 1, idempotencyKey, refundOn } = readQuotaOptions(given);
    return async (...args) => {
      const [request] = args;
      const toHttps = async (error: unknown): Promise<never> => {
        throw toHttpsError(error, (await loadHttps()).HttpsError);
      };
      let providerId: string;
      let options: ConsumeOptions;
      let consumption: QuotaConsumption;
      try {
        providerId = await providerIdOf(request);
        options = { cost: costOf(cost, request), idempotencyKey: idempotencyKey?.(request) };
        consumption = await quota.consume(providerId, options);
      } catch (error) {
        return toHttps(error);
      }
      if (!consumption.allowed) throw refusedByQuota(consumption, (await loadHttps()).HttpsError);
      const { source, replayed } = consumption;
      const key = options.idempotencyKey;
      const claimRerun = () =>
        key === undefined
          ? Promise.resolve(true)
          : quota.claimRerun(providerId, { idempotencyKey: key, source });
      if (replayed && !(await claimRerun().catch(toHttps))) throw alreadyRun((await loadHttps()).HttpsError);

      const output = watchOutput(args);
      let result;
      try {
        result = await handler(...output.args);
      } catch (error) {
        const isRefunded =
          refundOn !== "never" &&
          (refundOn === "error" || !output.isSent()) &&
          (key === undefined || replayed);
        // The handler's error is what the caller is to see, also if nothing can be given back.
        if (isRefunded) await quota.refund(providerId, options).catch(() => undefined);
        throw error;
      }
      // A call that has finished is not run again. If that cannot be recorded, it may be run once more; the service logs it.
      if (!replayed)
        await withDeadline(claimRerun(), MAX_END_MS, "the run's end is not recorded").catch(() => undefined);
      return result;
    };
  };
}

/** @throws InvalidArgumentError */
function readQuotaOptions<Request>(given: QuotaOptions<Request>): QuotaOptions<Request> {
  const options = readOptions(given, ["quota", "providerId", "cost", "idempotencyKey", "refundOn"]);
  const { quota, providerId, cost, idempotencyKey, refundOn } = options;
  const methods = ["consume", "refund", ...(idempotencyKey === undefined ? [] : ["claimRerun"])];
  requireMethods("quota", quota, methods, "a quota client of createRedisQuota");
  requireFunction("providerId", providerId);
  if (cost !== undefined) requireRequestCost(cost);
  if (idempotencyKey !== undefined) requireFunction("idempotencyKey", idempotencyKey);
  if (refundOn !== undefined && !REFUND_ON.includes(refundOn))
    throw new InvalidArgumentError("refundOn", `one of ${REFUND_ON.join(", ")}`, formatValue(refundOn));
  return options as QuotaOptions<Request>;
}

/** The arguments of a handler of `onCall`, and whether it has streamed output to its caller. */
function watchOutput<Args extends [CallableRequest, ...unknown[]]>(
  args: Args,
): { readonly args: Args; readonly isSent: () => boolean } {
  const [request, response, ...rest] = args as unknown as [
    CallableRequest,
    CallableResponse | undefined,
    ...unknown[],
  ];
  if (response === undefined) return { args, isSent: () => false };
  let isSent = false;
  const watched = Object.create(response, {
    sendChunk: {
      value: (chunk: unknown) => {
        isSent ||= request.acceptsStreaming && !response.signal.aborted;
        return response.sendChunk(chunk);
      },
    },
  }) as CallableResponse;
  return { args: [request, watched, ...rest] as unknown as Args, isSent: () => isSent };
}
