import { formatValue, InvalidArgumentError } from "../validation";

/** What a request counts for: a whole number, 1 or more. */
export type RequestCost<Request> = number | ((request: Request) => number);

const EXPECTED = "a whole number, 1 or more";

/** @throws InvalidArgumentError */
export function requireRequestCost(cost: unknown): void {
  if (typeof cost === "function" || (Number.isSafeInteger(cost) && (cost as number) >= 1)) return;
  throw new InvalidArgumentError("cost", `${EXPECTED}, or a function`, formatValue(cost));
}

/** @throws InvalidArgumentError where a function returns no number */
export function costOf<Request>(cost: RequestCost<Request>, request: Request): number {
  const value: unknown = typeof cost === "function" ? cost(request) : cost;
  if (typeof value !== "number") throw new InvalidArgumentError("cost", EXPECTED, formatValue(value));
  return value;
}
