import { createLogs, type Logs, type LogSink } from "../../functions/src/observability/logs";
import { Metrics } from "../../functions/src/observability/metrics";

type Entry = Parameters<LogSink>[0];

/** The product's logs, kept for a test to look at, and counters that do not write there. */
export function recordLogs(): { logs: Logs; metrics: Metrics; entries: Entry[]; events: () => string[] } {
  const entries: Entry[] = [];
  return {
    logs: createLogs((entry) => void entries.push(entry)),
    metrics: new Metrics(createLogs(() => {})),
    entries,
    events: () => entries.map(({ event }) => event),
  };
}
