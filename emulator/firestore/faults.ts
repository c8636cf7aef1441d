/** A switch that is not as it must be; the message names it. */
export class InvalidFaults extends Error {}

/** What is valid for each switch, in words and as a test. */
export type Checks<Faults> = Record<
  keyof Faults,
  { readonly valid: string; readonly isValid: (value: unknown) => boolean }
>;

/** @throws InvalidFaults */
export function parseFaults<Faults extends object>(body: unknown, checks: Checks<Faults>): Faults {
  const names = Object.keys(checks).join(", ");
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new InvalidFaults(`The body must be an object of ${names}.`);
  for (const [name, value] of Object.entries(body)) {
    const check = Object.hasOwn(checks, name) ? checks[name as keyof Faults] : undefined;
    if (!check) throw new InvalidFaults(`"${name}" is no switch; there are ${names}.`);
    if (!check.isValid(value))
      throw new InvalidFaults(`${name} must be ${check.valid}, not ${JSON.stringify(value)}.`);
  }
  return body as Faults;
}

export function isProbability(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 1;
}

/** A number of milliseconds. */
export function isDelay(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

export function isDelayRange(value: unknown): boolean {
  return (
    Array.isArray(value) && value.length === 2 && value.every(isDelay) && Number(value[0]) <= Number(value[1])
  );
}
