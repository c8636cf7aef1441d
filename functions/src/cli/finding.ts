import { redact, table } from "./table";

/** One line of a check-up; `todo` says what to do about it. What cannot be found out from here is to be checked `by-hand`. */
export interface Finding {
  readonly check: string;
  readonly verdict: "pass" | "warn" | "fail" | "by-hand";
  readonly found: string;
  readonly todo?: string;
}

/** Google's errors can have several lines, and a setting that an error repeats a password in it. */
const oneLine = (text: string) => redact(text).replace(/\s*\n\s*/g, " ");

const verdict =
  (verdict: Finding["verdict"]) =>
  (check: string, found: string, todo: string): Finding => ({ check, verdict, found: oneLine(found), todo });

export const warn = verdict("warn");
export const fail = verdict("fail");
export const byHand = verdict("by-hand");

export function pass(check: string, found: string): Finding {
  return { check, verdict: "pass", found: oneLine(found) };
}

/** The finding of work that is well if it does not fail. */
export async function attempt(
  check: string,
  work: () => Promise<unknown>,
  found: string,
  todo: string,
): Promise<Finding> {
  try {
    await work();
    return pass(check, found);
  } catch (error) {
    return fail(check, (error as Error).message, todo);
  }
}

export function hasFailed(findings: readonly Finding[]): boolean {
  return findings.some(({ verdict }) => verdict === "fail");
}

const LABELS = { pass: "PASS", warn: "WARN", fail: "FAIL", "by-hand": "TODO" } as const;

/** Findings line by line, what to do below each, and how many there are of each kind. */
export function describeFindings(findings: readonly Finding[]): string {
  const count = (verdict: Finding["verdict"]) => findings.filter((each) => each.verdict === verdict).length;
  const lines = table(findings.map(({ verdict, check, found }) => [LABELS[verdict], check, found])).split(
    "\n",
  );
  const withTodos = findings.flatMap(({ todo }, i) => (todo ? [lines[i]!, `      -> ${todo}`] : [lines[i]!]));
  const hand = count("by-hand");
  return [
    ...withTodos,
    "",
    `${count("pass")} passed, ${count("warn")} warnings, ${count("fail")} failed` +
      (hand > 0 ? `, ${hand} to check by hand` : ""),
  ].join("\n");
}
