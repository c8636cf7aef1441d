import type { InvalidPolicies, Policy } from "./policy";

/** Policies by name; an invalid one stands for a document of which no valid version is known. */
export type PoliciesByName = ReadonlyMap<string, Policy | InvalidPolicies>;

/** Where policies come from: the configuration, and documents that may change while this process runs. */
export interface PolicySource {
  /** Resolves within a bounded time, also if documents cannot be read: with what is known. Rejects if none can be known. */
  policies(): PoliciesByName | Promise<PoliciesByName>;
}

/** The policies of the configuration. If they are invalid, each call rejects with what is wrong. */
export function configuredPolicies(policies: readonly Policy[] | Error): PolicySource {
  if (policies instanceof Error) return { policies: () => Promise.reject(policies) };
  const byName = new Map(policies.map((policy) => [policy.name, policy]));
  return { policies: () => byName };
}
