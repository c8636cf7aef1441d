import { createLogs, type LogSink } from "../../functions/src/observability/logs";
import { Metrics } from "../../functions/src/observability/metrics";

type Entry = Parameters<LogSink>[0];

function recorded() {
  const clock = { nowMs: 1_000_000 };
  const entries: Entry[] = [];
  const metrics = new Metrics(
    createLogs((entry) => void entries.push(entry)),
    () => clock.nowMs,
  );
  return { clock, entries, metrics };
}

test("the first count is written at once, and the rest at most once a minute, each once", () => {
  const { clock, entries, metrics } = recorded();
  metrics.hit();
  expect(entries).toMatchObject([{ event: "redis_quota_metrics", severity: "INFO", hits: 1, misses: 0 }]);
  for (let i = 0; i < 9; i++) metrics.hit();
  metrics.miss();
  clock.nowMs += 59_999;
  metrics.fallback();
  expect(entries).toHaveLength(1);
  clock.nowMs += 1;
  metrics.hit();
  expect(entries).toHaveLength(2);
  expect(entries[1]).toMatchObject({ hits: 10, misses: 1, fallbacks: 1 });
  expect(metrics.counts()).toMatchObject({ sinceMs: 1_000_000, hits: 11, misses: 1, fallbacks: 1 });
});

test("the lag of what was mirrored has a mean and a maximum, of what is new only", () => {
  const { clock, entries, metrics } = recorded();
  metrics.mirrored(500);
  metrics.mirrored(100);
  clock.nowMs += 60_000;
  metrics.mirrored(200);
  expect(entries[1]).toMatchObject({ mirrored: 2, mirrorLagMeanMs: 150, mirrorLagMaxMs: 200 });
  expect(metrics.counts()).toMatchObject({ mirrored: 3, mirrorLagMeanMs: 267, mirrorLagMaxMs: 500 });
});

test("decisions are counted by policy and source; what Redis did not decide is a fallback", () => {
  const { metrics } = recorded();
  metrics.decided("ai-chat", "redis", 1, 0);
  metrics.decided("ai-chat", "redis", 0, 1);
  metrics.decided("ai-chat", "local", 1, 0);
  metrics.decided("login", "closed", 0, 1);
  expect(metrics.counts()).toMatchObject({
    rateLimitAllowed: 2,
    rateLimitRefused: 2,
    rateLimitFallbacks: 2,
    decisions: {
      "ai-chat": { redis: { allowed: 1, refused: 1 }, local: { allowed: 1, refused: 0 } },
      login: { closed: { allowed: 0, refused: 1 } },
    },
  });
});

test("what a sync measured is in the next entry only", () => {
  const { clock, entries, metrics } = recorded();
  metrics.measured({ pendingProviders: 2, oldestPendingMs: 9000 });
  expect(entries[0]).toMatchObject({ pendingProviders: 2, oldestPendingMs: 9000 });
  clock.nowMs += 60_000;
  metrics.hit();
  expect(entries[1]).not.toHaveProperty("pendingProviders");
});

test("changes of the circuit are counted, and how it is now is told", () => {
  const { clock, entries, metrics } = recorded();
  expect(metrics.counts()).toMatchObject({ circuit: "closed", circuitOpened: 0, circuitClosed: 0 });
  metrics.circuitChanged("open");
  metrics.circuitChanged("closed");
  metrics.circuitChanged("open");
  expect(metrics.counts()).toMatchObject({ circuit: "open", circuitOpened: 2, circuitClosed: 1 });
  clock.nowMs += 60_000;
  metrics.hit();
  expect(entries.map(({ circuitOpened }) => circuitOpened)).toEqual([1, 1]);
});
