import { show } from "../validation";

/** A provider's quota: how many calls it has used, and how many it may use. */
export interface Quota {
  readonly used: number;
  readonly limit: number;
}

/**
 * What Firestore held at a version: a quota, or `undefined` for no such document.
 *
 * `version` is the document's update time in microseconds since the epoch (exact in a double until the year 2255); for
 * no document, the time of its deletion or of the read that did not find it. `asOfMs` is when Firestore said so.
 */
export interface QuotaSnapshot {
  readonly quota: Quota | undefined;
  readonly version: number;
  readonly asOfMs: number;
}

/** What a check answers. `remaining` is never negative; `found` is whether the provider has a document. */
export interface QuotaStatus {
  readonly hasQuota: boolean;
  readonly used: number;
  readonly limit: number;
  readonly remaining: number;
  readonly found: boolean;
}

/** Where a provider document keeps its quota, and what holds where it says nothing. */
export interface QuotaFields {
  readonly usedField: string;
  readonly limitField: string;
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
    super(`${field}: got ${show(received)}; expected a whole number, 0 or more`);
  }
}

/** An argument of a call is invalid; `field` names it. */
export class InvalidProviderIdError extends Error {
  override readonly name = "InvalidProviderIdError";
  readonly code = "invalid-argument";
  readonly field = "providerId";

  constructor(received: unknown) {
    super(
      `providerId: got ${show(received)}; expected a document id: 1 to 1500 bytes, no "/", not ".", ".." or __x__`,
    );
  }
}

/**
 * Checks that a value can be the id of a provider document (Firestore's rules for ids).
 *
 * @throws InvalidProviderIdError
 */
export function parseProviderId(value: unknown): string {
  const valid =
    typeof value === "string" &&
    value.length > 0 &&
    Buffer.byteLength(value) <= 1500 &&
    value.isWellFormed() &&
    !value.includes("/") &&
    value !== "." &&
    value !== ".." &&
    !/^__.*__$/s.test(value);
  if (!valid) throw new InvalidProviderIdError(value);
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
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw new InvalidQuotaDocumentError(field, value);
    }
    return value;
  };
  return { used: read(fields.usedField, 0), limit: read(fields.limitField, fields.defaultLimit) };
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** Decides whether a provider has quota left; one without a document has the default limit, or none. */
export function assessQuota(
  quota: Quota | undefined,
  {
    missingProvider,
    defaultLimit,
  }: { readonly missingProvider: "default-limit" | "deny"; readonly defaultLimit: number },
): QuotaStatus {
  const { used, limit } = quota ?? { used: 0, limit: missingProvider === "deny" ? 0 : defaultLimit };
  return {
    hasQuota: used < limit,
    used,
    limit,
    remaining: Math.max(0, limit - used),
    found: quota !== undefined,
  };
}
