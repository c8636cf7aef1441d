import type { CallFaults } from "../../emulator/firestore/call-faults.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

const LASTS_MS = 1000;
/** Longer than any call waits for Firestore. */
const OUTAGE_MS = 11_000;
/** What a call waits for Firestore at most, and some more for the machine. */
const SLOWEST_MS = 11_000;

const faulty = (faults: CallFaults) => ({
  begin: ({ firestoreCalls }: Stage) => firestoreCalls.set(faults),
  async end({ firestoreCalls }: Stage) {
    const { delayed, failed } = await firestoreCalls.stats();
    await firestoreCalls.clear();
    if (delayed + failed === 0) throw new Error("No call has met the fault.");
  },
});
const writes = ["Commit", "BatchWrite"];
const waits = { lastsMs: LASTS_MS, slowestMs: SLOWEST_MS } as const;

/** Firestore does not answer, answers late, refuses for contention, or loses its answers. */
export const firestoreScenarios: readonly Scenario[] = [
  {
    name: "Firestore answers `UNAVAILABLE`",
    mode: "redis-primary",
    lastsMs: LASTS_MS,
    answeredBy: ["redis"],
    ...faulty({ status: "UNAVAILABLE" }),
  },
  {
    name: "Firestore answers `UNAVAILABLE` for 11 s",
    mode: "dual-write",
    answeredBy: ["redis"],
    recoversWith: "firestore",
    firestoreMayFail: true,
    mayBeUnknown: true,
    lastsMs: OUTAGE_MS,
    slowestMs: SLOWEST_MS,
    ...faulty({ status: "UNAVAILABLE" }),
  },
  ...(["redis-primary", "dual-write"] as const).flatMap((mode): Scenario[] => [
    {
      name: "Firestore takes 300 ms for each call",
      mode,
      answeredBy: ["redis"],
      ...waits,
      ...faulty({ delayMs: 300 }),
    },
    {
      name: "Every second commit is `ABORTED`",
      mode,
      ...waits,
      answeredBy: mode === "dual-write" ? ["redis", "firestore"] : ["redis"],
      ...faulty({ status: "ABORTED", methods: writes, probability: 0.5 }),
    },
    {
      name: "Commits are made, and every second answer lost",
      mode,
      mayBeUnknown: true,
      ...waits,
      answeredBy: mode === "dual-write" ? ["redis", "firestore"] : ["redis"],
      ...faulty({ status: "UNAVAILABLE", at: "answer", methods: writes, probability: 0.5 }),
    },
    {
      name: "Firestore is stopped, and goes on",
      mode,
      mayBeUnknown: true,
      answeredBy: ["redis"],
      ...waits,
      begin: ({ firestoreProcess }) => process.kill(firestoreProcess.pid, "SIGSTOP"),
      end: ({ firestoreProcess }) => process.kill(firestoreProcess.pid, "SIGCONT"),
    },
    {
      name: "Connections to Firestore break",
      mode,
      mayBeUnknown: true,
      answeredBy: ["redis"],
      ...waits,
      begin({ firestoreProxy }) {
        firestoreProxy.set({ refuse: true });
        firestoreProxy.reset();
      },
      end: ({ firestoreProxy }) => firestoreProxy.heal(),
    },
  ]),
  {
    name: "Neither Redis nor Firestore answers",
    mode: "redis-primary",
    answeredBy: ["local", "open", "closed"],
    notAnsweredBy: ["firestore"],
    recoversWith: "redis",
    firestoreMayFail: true,
    mayBeUnknown: true,
    ...waits,
    async begin({ redisProxy, firestoreCalls }) {
      await firestoreCalls.set({ status: "UNAVAILABLE" });
      redisProxy.set({ replies: "stall" });
    },
    async end({ redisProxy, firestoreCalls }) {
      redisProxy.heal();
      await firestoreCalls.clear();
    },
  },
];
