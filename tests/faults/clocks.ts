import type { Scenario } from "./scenario.ts";

const LASTS_MS = 1000;
/** What a call waits for Firestore at most, and some more for the machine. */
const FIRESTORE_MS = 11_000;
const HOUR_MS = 3_600_000;

const realNow = Date.now;
/** Sets the clock that all code in this process tells the time by, apart from `new Date()` without arguments. */
const setProcessClock = (aheadMs: number) => () => void (Date.now = () => realNow() + aheadMs);
const resetProcessClock = (): void => void (Date.now = realNow);

/** Clocks are wrong: that of the process, or that of Redis by Firestore's. */
export const clockScenarios: readonly Scenario[] = [
  ...(["redis-primary", "dual-write"] as const).flatMap((mode): Scenario[] =>
    [HOUR_MS, -HOUR_MS].map((aheadMs) => ({
      name: `The clock of the process is set ${aheadMs > 0 ? "forward" : "back"} by an hour, and right again`,
      mode,
      lastsMs: LASTS_MS,
      answeredBy: ["redis"],
      // Google's client keeps its own time limits by this clock, and ends what is under way.
      firestoreMayFail: mode === "dual-write",
      mayBeUnknown: mode === "dual-write",
      ...(mode === "dual-write" && { slowestMs: FIRESTORE_MS }),
      begin: setProcessClock(aheadMs),
      end: resetProcessClock,
    })),
  ),
  ...[90_000, -90_000].map((firestoreAheadMs): Scenario => ({
    name: `Redis's clock is 90 s ${firestoreAheadMs > 0 ? "behind" : "ahead of"} Firestore's`,
    mode: "redis-primary",
    firestoreAheadMs,
    lastsMs: LASTS_MS,
    answeredBy: firestoreAheadMs > 0 ? ["redis"] : ["firestore"],
    begin: () => undefined,
    end: () => undefined,
  })),
];
