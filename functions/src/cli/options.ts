import { formatValue, validationMessage } from "../validation";
import { UsageError } from "./usage-error";

/** Reads an option that is a number, 0 or more. */
export function number(option: string): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (value.trim() === "" || !Number.isFinite(parsed) || parsed < 0)
      throw new UsageError(validationMessage(option, "a number, 0 or more", formatValue(value)));
    return parsed;
  };
}

/** Reads an option that is a whole number, 1 or more. */
export function count(option: string): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (!Number.isSafeInteger(parsed) || parsed < 1)
      throw new UsageError(validationMessage(option, "a whole number, 1 or more", formatValue(value)));
    return parsed;
  };
}
