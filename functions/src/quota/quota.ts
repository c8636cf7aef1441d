import {
  CALLERS_NAME,
  formatValue,
  InvalidArgumentError,
  isDocumentId,
  isMap,
  validationMessage,
} from "../validation";

/** A provider's quota: how many calls it has used, and how many it may use. */
export interface Quota {
  readonly used: number;
  readonly limit: number;
}

/**
 * What Firestore held at a version: a quota, or `undefined` for no such document.
 *
 * `version` is the document's update time in microseconds since the epoch (exact in a double until the year 2255); for
 * no document, one above that of the deleted one, or the time of the read that found none. `asOfMs` is when Firestore
 * said so. `marker` is the newest flush that the document contains, 0 for none.
 */
export interface QuotaSnapshot {
  readonly quota: Quota | undefined;
  readonly version: number;
  readonly asOfMs: number;
  readonly marker: number;
  /** Version at which the document was made; 0 for no document, or where that is not known. */
  readonly created: number;
}

/** Where this product keeps its own fields in a provider document; nobody else is to write them. */
export const SYNC_FIELD = "_quotaSync";

/** What a check answers. `remaining` is never negative; `found` is whether the provider has a document. */
export interface QuotaStatus {
  readonly hasQuota: boolean;
  readonly used: number;
  readonly limit: number;
  readonly remaining: number;
  readonly found: boolean;
}

/** What a call of a provider is answered. `used`, `limit` and `remaining` are as after it. */
export interface Consumption extends QuotaStatus {
  readonly allowed: boolean;
}

/** A call to decide. A negative cost refunds, for as much as has been used. */
export interface QuotaCall {
  readonly providerId: string;
  readonly cost: number;
  readonly idempotencyKey?: string | undefined;
}

/** Where a provider document keeps its quota, and what holds where it says nothing. */
export interface QuotaFields {
  readonly usedField: string;
  readonly limitField: string;
  readonly defaultLimit: number;
}

/** What holds for a provider without a document. */
export interface MissingProvider {
  readonly missingProvider: "default-limit" | "deny";
  readonly defaultLimit: number;
}

/** A provider document's fields are no quota; `field` names the bad one. */
export class InvalidQuotaDocumentError extends Error {
  override readonly name = "InvalidQuotaDocumentError";
  readonly code = "invalid-quota-document";

  constructor(
    readonly field: string,
    received: unknown,
  ) {
    const expected = "a whole number, 0 or more, of at most 15 digits";
    super(validationMessage(field, expected, formatValue(received)));
  }
}

/** A provider id is invalid. */
export class InvalidProviderIdError extends InvalidArgumentError {
  override readonly name = "InvalidProviderIdError";

  constructor(received: unknown) {
    const expected = 'a document id: 1 to 1500 bytes, no "/", not ".", ".." or __x__';
    super("providerId", expected, formatValue(received));
  }
}

/**
 * Checks that a value can be the id of a provider document (Firestore's rules for ids).
 *
 * @throws InvalidProviderIdError
 */
export function parseProviderId(value: unknown): string {
  if (!isDocumentId(value)) throw new InvalidProviderIdError(value);
  return value;
}

/** A call's cost is invalid. */
export class InvalidCostError extends InvalidArgumentError {
  override readonly name = "InvalidCostError";

  constructor(received: unknown) {
    super("cost", `a whole number from 1 to ${MAX_COST}`, formatValue(received));
  }
}

/** A call's idempotency key is invalid. */
export class InvalidIdempotencyKeyError extends InvalidArgumentError {
  override readonly name = "InvalidIdempotencyKeyError";

  constructor(received: unknown) {
    const expected = "1 to 256 characters without control characters";
    super("idempotencyKey", expected, formatValue(received));
  }
}

/** Far enough below what a double holds exactly for sums of quotas and costs. */
export const MAX_QUOTA = 999_999_999_999_999;

/** Keeps sums of costs far from where a double is no longer exact. */
const MAX_COST = 1_000_000_000;

/**
 * Checks a cost.
 *
 * @throws InvalidCostError
 */
export function parseCost(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > MAX_COST) {
    throw new InvalidCostError(value);
  }
  return value;
}

/**
 * Checks an idempotency key.
 *
 * @throws InvalidIdempotencyKeyError
 */
export function parseIdempotencyKey(value: unknown): string {
  if (typeof value !== "string" || !CALLERS_NAME.test(value)) throw new InvalidIdempotencyKeyError(value);
  return value;
}

/**
 * Reads the quota from a document's data. A field that is absent or null has its default; a limit of 0 is a limit of 0.
 *
 * @throws InvalidQuotaDocumentError where a field is present but no whole number of 0 or more.
 */
export function parseQuota(data: Readonly<Record<string, unknown>>, fields: QuotaFields): Quota {
  const read = (field: string, absent: number): number => {
    let value: unknown = data;
    for (const key of field.split(".")) {
      if (!isMap(value)) throw new InvalidQuotaDocumentError(field, value);
      value = Object.hasOwn(value, key) ? value[key] : undefined;
      if (value === undefined || value === null) return absent;
    }
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > MAX_QUOTA) {
      throw new InvalidQuotaDocumentError(field, value);
    }
    return value;
  };
  return { used: read(fields.usedField, 0), limit: read(fields.limitField, fields.defaultLimit) };
}

/** The newest flush that a document contains, 0 for none. */
export function parseMarker(data: Readonly<Record<string, unknown>> | undefined): number {
  const sync = data?.[SYNC_FIELD];
  const flushId = isMap(sync) ? sync["flushId"] : undefined;
  return typeof flushId === "number" && Number.isSafeInteger(flushId) && flushId > 0 ? flushId : 0;
}

/** What a provider without a document may use; undefined if nothing. */
export function missingLimit({ missingProvider, defaultLimit }: MissingProvider): number | undefined {
  return missingProvider === "deny" ? undefined : defaultLimit;
}

/** What is left of a quota. */
export function toStatus({ used, limit }: Quota, found: boolean): QuotaStatus {
  return { hasQuota: used < limit, used, limit, remaining: Math.max(0, limit - used), found };
}

/** Decides whether a provider has quota left; one without a document has the default limit, or none. */
export function assessQuota(
  quota: Quota | undefined,
  missing: MissingProvider,
  usedWithoutDocument = 0,
): QuotaStatus {
  const without = { used: usedWithoutDocument, limit: missingLimit(missing) ?? 0 };
  return toStatus(quota ?? without, quota !== undefined);
}

/** Decides a call, and what has been used after it. A refund is accepted for as much as has been used. */
export function decideConsumption(
  { used, limit }: Quota,
  cost: number,
): { readonly allowed: boolean; readonly used: number } {
  if (cost > 0 && used + cost > limit) return { allowed: false, used };
  return { allowed: true, used: Math.max(0, used + cost) };
}
