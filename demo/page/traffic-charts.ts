import type { LatencySeries } from "../console/messages.ts";
import { formatMs } from "../latency.ts";
import { element } from "./elements.ts";
import type { Samples } from "./samples.ts";
import { type ChartOptions, TimeChart } from "./time-chart.ts";

const HEIGHT_PX = 170;
const LATENCIES: readonly LatencySeries[] = ["redis", "firestore", "callable"];

const formatAxisMs = (ms: number): string => (ms >= 1_000 ? `${ms / 1_000} s` : `${ms} ms`);

/** Powers of ten around what there is, from a fraction of a millisecond on. */
const powersOfTen: ChartOptions["range"] = (min, max) => [
  Math.min(0.1, 10 ** Math.floor(Math.log10(min ?? 1))),
  Math.max(100, 10 ** Math.ceil(Math.log10(max ?? 1))),
];

/** The charts of quota calls, their latency and the mirror's lag. */
export class TrafficCharts {
  readonly #calls = new TimeChart(element("chart-calls", HTMLElement), {
    title: "Quota calls per second",
    note: "By who answered",
    series: [
      { label: "Redis", colour: "redis", draw: "area" },
      { label: "Firestore", colour: "firestore", draw: "area" },
      { label: "No answer", colour: "danger", draw: "line" },
    ],
    heightPx: HEIGHT_PX,
    range: (_min, max) => [0, Math.max(10, (max ?? 0) * 1.1)],
    format: (perSecond) => String(Math.round(perSecond)),
    nothing: "0",
  });

  readonly #latency = new TimeChart(element("chart-latency", HTMLElement), {
    title: "Latency",
    note: "Medians, in process or through a callable",
    series: [
      { label: "Redis", colour: "redis", draw: "line" },
      { label: "Firestore", colour: "firestore", draw: "line" },
      { label: "Callable", colour: "callable", draw: "dots" },
    ],
    heightPx: HEIGHT_PX,
    isLogarithmic: true,
    range: powersOfTen,
    format: formatMs,
    formatAxis: formatAxisMs,
    nothing: "–",
  });

  readonly #lag = new TimeChart(element("chart-lag", HTMLElement), {
    title: "Mirror lag",
    note: "From the commit in Firestore to Redis",
    series: [
      { label: "Longest", colour: "callable", draw: "dots" },
      { label: "Median", colour: "accent", draw: "dots" },
    ],
    heightPx: HEIGHT_PX,
    isLogarithmic: true,
    range: powersOfTen,
    format: formatMs,
    formatAxis: formatAxisMs,
    nothing: "no change",
  });

  show(samples: Samples): void {
    const { seconds, samples: shown } = samples.shown();
    const errors = shown.map(({ errors }) => (errors > 0 ? errors : null));
    this.#calls.show(seconds, [
      shown.map(({ calls }) => calls.redis),
      shown.map(({ calls }) => calls.firestore),
      errors,
    ]);
    this.#latency.show(
      seconds,
      LATENCIES.map((series) => shown.map(({ latency }) => latency[series]?.p50 ?? null)),
    );
    this.#lag.show(seconds, [
      shown.map(({ mirrorLag }) => mirrorLag?.max ?? null),
      shown.map(({ mirrorLag }) => mirrorLag?.p50 ?? null),
    ]);
  }
}
