import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import Ajv from "ajv";

import { ALERTS, METRICS } from "../../functions/src/cli/monitoring-names";
import { createLogs, type Logs, type LogSink } from "../../functions/src/observability/logs";
import { Metrics } from "../../functions/src/observability/metrics";
import { ALERT_POLICY, DASHBOARD, LOG_METRIC } from "../cases/monitoring-schemas.ts";

const ROOT = path.resolve(__dirname, "../../monitoring");
const read = (file: string) => JSON.parse(readFileSync(path.join(ROOT, file), "utf8")) as unknown;
const filesOf = (folder: string) =>
  readdirSync(path.join(ROOT, folder)).map((file) => [file.replace(/\.json$/, ""), `${folder}/${file}`]);

interface LogMetric {
  readonly name: string;
  readonly filter: string;
  readonly valueExtractor?: string;
  readonly metricDescriptor: { readonly metricKind: string; readonly valueType: string };
  readonly bucketOptions?: unknown;
}

interface AlertPolicy {
  readonly displayName: string;
  readonly combiner: string;
  readonly documentation: { readonly content: string };
  readonly conditions: readonly {
    readonly conditionPrometheusQueryLanguage?: { readonly query: string };
    readonly conditionThreshold?: { readonly filter: string };
  }[];
}

interface Dashboard {
  readonly mosaicLayout: {
    readonly columns: number;
    readonly tiles: readonly {
      readonly xPos: number;
      readonly yPos: number;
      readonly width: number;
      readonly height: number;
      readonly widget: {
        readonly title: string;
        readonly xyChart: {
          readonly dataSets: readonly {
            readonly timeSeriesQuery: {
              readonly prometheusQuery?: string;
              readonly timeSeriesFilter?: { readonly filter: string };
            };
          }[];
        };
      };
    }[];
  };
}

/** Memorystore's metrics that are used here (cloud.google.com/memorystore/docs/redis/monitoring-metrics). */
const MEMORYSTORE = [
  "redis.googleapis.com/clients/connected",
  "redis.googleapis.com/stats/evicted_keys",
  "redis.googleapis.com/stats/keyspace_hits",
  "redis.googleapis.com/stats/keyspace_misses",
  "redis.googleapis.com/stats/memory/maxmemory",
  "redis.googleapis.com/stats/memory/usage",
  "redis.googleapis.com/stats/memory/usage_ratio",
];

type Entry = Parameters<LogSink>[0];

/** The entries that the code writes, as it writes them, by their events. */
function emitted(): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  const logs: Logs = createLogs((entry) => void entries.set(entry.event, entry));
  const error = new Error("down");
  logs.redisUnreachable("10.0.0.3:6379", error);
  logs.redisCircuitOpened("10.0.0.3:6379");
  logs.firestoreUnavailable(error);
  logs.flushFailed("ada", error);
  logs.quotasSynced({ flushed: 1, failed: 0, complete: true, oldestUnsyncedMs: 0 });
  logs.quotaDrift("ada", { redisVersion: 1, firestoreVersion: 2 });
  logs.configInvalid([{ problem: "Expected `MODE` to be firestore; got no value." }]);
  logs.installationConflict(error);
  // With a sync's figures, which an entry has beside all others.
  new Metrics(logs).measured({ pendingProviders: 1, oldestPendingMs: 2 });
  return entries;
}

const metrics = filesOf("metrics").map(([name, file]) => [name!, read(file!) as LogMetric] as const);
const alerts = filesOf("alerts").map(([name, file]) => [name!, read(file!) as AlertPolicy] as const);
const charts = (read("dashboard.json") as Dashboard).mosaicLayout.tiles.map(
  ({ widget }) => [widget.title, widget] as const,
);

const entries = emitted();
const byName = new Map(metrics);

test.each(metrics)(
  "%s is drawn from an entry that the code writes, and from fields that it has",
  (name, metric) => {
    expect(metric.name).toBe(name);
    const [, event] = /^jsonPayload\.event="(\w+)"/.exec(metric.filter)!;
    const entry = entries.get(event!);
    expect(entry).toBeDefined();
    const fields = [...`${metric.filter} ${metric.valueExtractor ?? ""}`.matchAll(/jsonPayload\.(\w+)/g)];
    for (const [, field] of fields) expect(entry).toHaveProperty(field!);
    const extracted = /^EXTRACT\(jsonPayload\.(\w+)\)$/.exec(metric.valueExtractor ?? "")?.[1];
    if (extracted !== undefined) expect(typeof entry![extracted]).toBe("number");
    expect(metric.metricDescriptor.metricKind).toBe("DELTA");
    expect(metric.metricDescriptor.valueType).toBe(extracted === undefined ? "INT64" : "DISTRIBUTION");
    expect(metric.bucketOptions !== undefined).toBe(extracted !== undefined);
  },
);

/** Every metric of a PromQL query exists, and is asked for as what it is. */
function checkQuery(query: string): void {
  const names = [...query.matchAll(/logging_googleapis_com:user_(\w+)/g)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const [, base, suffix] = /^(\w+?)(_sum|_count|_bucket)?$/.exec(name)!;
    expect([base, byName.get(base!)?.metricDescriptor.valueType]).toEqual([
      base,
      suffix === undefined ? "INT64" : "DISTRIBUTION",
    ]);
  }
  expect(query.split("(").length).toBe(query.split(")").length);
}

function checkFilter(filter: string): void {
  const [, type] = /metric\.type = "([^"]+)"/.exec(filter)!;
  expect(MEMORYSTORE).toContain(type);
  expect(filter).toContain('resource.type = "redis_instance"');
}

test.each(["POSTINSTALL.md", "docs/operations.md"])("%s names metrics of Memorystore that exist", (file) => {
  const text = readFileSync(path.join(ROOT, "..", file), "utf8");
  const named = text.match(/(?<=`)redis\.googleapis\.com\/[^`]+(?=`)/g) ?? [];
  expect(named.length).toBeGreaterThan(2);
  for (const metric of named) expect(MEMORYSTORE).toContain(metric);
});

test.each(alerts)(
  "the alert %s asks for metrics that exist, and operations.md says what to do",
  (name, alert) => {
    expect(alert.combiner).toBe("OR");
    expect(alert.conditions).toHaveLength(1);
    const [{ conditionPrometheusQueryLanguage: prometheus, conditionThreshold: threshold }] =
      alert.conditions as [AlertPolicy["conditions"][number]];
    if (prometheus) checkQuery(prometheus.query);
    else checkFilter(threshold!.filter);
    expect(alert.documentation.content).toContain(`docs/operations.md#${name}`);
    const operations = readFileSync(path.resolve(ROOT, "../docs/operations.md"), "utf8");
    expect(operations).toContain(`### ${name}\n`);
  },
);

test.each(charts)("the chart %s asks for metrics that exist", (_, widget) => {
  for (const { timeSeriesQuery } of widget.xyChart.dataSets) {
    if (timeSeriesQuery.prometheusQuery !== undefined) checkQuery(timeSeriesQuery.prometheusQuery);
    else checkFilter(timeSeriesQuery.timeSeriesFilter!.filter);
  }
});

/** What Google's API would refuse, as its reference has the fields. */
function problemsOf(schema: object, value: unknown): unknown {
  const validate = new Ajv({ allErrors: true }).compile(schema);
  validate(value);
  return validate.errors;
}

test("every file has the fields that Google's APIs take, and no others", () => {
  for (const [, metric] of metrics) expect(problemsOf(LOG_METRIC, metric)).toBeNull();
  for (const [, alert] of alerts) expect(problemsOf(ALERT_POLICY, alert)).toBeNull();
  expect(problemsOf(DASHBOARD, read("dashboard.json"))).toBeNull();
  const [, alert] = alerts[0]!;
  expect(problemsOf(ALERT_POLICY, { ...alert, treshold: 1 })).not.toBeNull();
  expect(problemsOf(ALERT_POLICY, { ...alert, alertStrategy: { autoClose: "600s" } })).not.toBeNull();
});

test("the tiles of the dashboard lie beside each other, within its columns", () => {
  const { columns, tiles } = (read("dashboard.json") as Dashboard).mosaicLayout;
  const taken = new Set<string>();
  for (const { xPos, yPos, width, height } of tiles) {
    expect(xPos + width).toBeLessThanOrEqual(columns);
    for (let x = xPos; x < xPos + width; x++)
      for (let y = yPos; y < yPos + height; y++) {
        expect(taken).not.toContain(`${x} ${y}`);
        taken.add(`${x} ${y}`);
      }
  }
});

test("the doctor asks for these metrics and alerts", () => {
  expect([...METRICS].sort()).toEqual(metrics.map(([name]) => name).sort());
  const called = alerts.map(([, alert]) => alert.displayName);
  expect([...ALERTS].sort()).toEqual(called.sort());
});

test("every metric is in a chart, as are all of the guide's of Redis", () => {
  const dashboard = JSON.stringify(read("dashboard.json"));
  for (const [name] of metrics) expect(dashboard).toMatch(new RegExp(`user_${name}(_sum|_bucket)?\\{`));
  for (const type of MEMORYSTORE) expect(dashboard).toContain(type);
});
