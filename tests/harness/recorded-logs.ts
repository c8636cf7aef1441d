import { createLogs, type Logs, type LogSink } from "../../functions/src/observability/logs";

type Entry = Parameters<LogSink>[0];

/** The product's logs, kept for a test to look at. */
export function recordLogs(): { logs: Logs; entries: Entry[]; events: () => string[] } {
  const entries: Entry[] = [];
  return {
    logs: createLogs((entry) => void entries.push(entry)),
    entries,
    events: () => entries.map(({ event }) => event),
  };
}
