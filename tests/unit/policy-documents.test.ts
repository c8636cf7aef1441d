import type { Firestore, QuerySnapshot } from "@google-cloud/firestore";

import { PolicyDocuments } from "../../functions/src/rate-limit/policy-documents";
import { recordLogs } from "../harness/recorded-logs.ts";

afterEach(() => {
  jest.useRealTimers();
});

test("documents that can never be read are read ever more rarely, because each read is billed", async () => {
  jest.useFakeTimers();
  const reads: number[] = [];
  const unreadable = {
    get docs(): never {
      throw new Error("unreadable");
    },
  } as unknown as QuerySnapshot;
  const onSnapshot = (next: (snapshot: QuerySnapshot) => void) => {
    reads.push(Date.now() / 1000);
    setTimeout(() => next(unreadable), 0);
    return () => undefined;
  };
  const firestore = { collection: () => ({ onSnapshot }) } as unknown as Firestore;
  const source = new PolicyDocuments(() => firestore, "policies", [], recordLogs().logs);
  const first = source.policies();
  await jest.advanceTimersByTimeAsync(200_000);
  await first;
  source.close();
  const pauses = reads.slice(1).map((second, i) => Math.round(second - reads[i]!));
  expect(pauses).toEqual([5, 10, 20, 40, 60, 60]);
});
