import uPlot from "uplot";
import { make, setText } from "./elements.ts";
import { colour } from "./theme.ts";

/** What the charts show, in seconds. */
export const SHOWN_SECONDS = 120;

export interface ChartSeries {
  readonly label: string;
  /** A colour of the theme. */
  readonly colour: string;
  readonly draw: "area" | "line" | "dots" | "bars";
  /** Drawn paler: the same source's refusals. */
  readonly pale?: boolean;
}

export interface ChartOptions {
  readonly title: string;
  readonly note: string;
  readonly series: readonly ChartSeries[];
  readonly heightPx: number;
  readonly isLogarithmic?: boolean;
  /** The lowest and highest value to show, of those there are. */
  readonly range: (min: number | null, max: number | null) => [number, number];
  readonly format: (value: number) => string;
  /** Of the axis, where it is shorter than that of the legend. */
  readonly formatAxis?: (value: number) => string;
  /** What is shown instead of a value where there is none. */
  readonly nothing: string;
}

/** Values by series, one for each time; null where there is none. */
export type ChartValues = readonly (readonly (number | null)[])[];

const charts = new Set<TimeChart>();

/** Draws all charts anew, in the theme's colours. */
export function redrawCharts(): void {
  for (const chart of charts) chart.redraw();
}

/** A chart of the last two minutes, the newest at the right, with a legend that says the values in words. */
export class TimeChart {
  readonly #options: ChartOptions;
  readonly #plot: uPlot;
  readonly #legend: HTMLElement[];
  #values: ChartValues = [];
  #cursor: number | null = null;

  constructor(figure: HTMLElement, options: ChartOptions) {
    this.#options = options;
    const { title, note, series, heightPx } = options;
    this.#legend = series.map(() => make("dd"));
    const legend = make("dl", { className: "legend" });
    series.forEach(({ label, colour: name, pale }, index) => {
      const swatch = make("span", { className: "swatch" });
      swatch.dataset["colour"] = name;
      if (pale) swatch.dataset["pale"] = "true";
      legend.append(make("div", {}, swatch, make("dt", { text: label }), this.#legend[index]!));
    });
    const plotArea = make("div", { className: "plot" });
    plotArea.setAttribute("aria-hidden", "true"); // the legend has the values
    const caption = make(
      "figcaption",
      {},
      make("h2", { text: title }),
      make("p", { className: "muted", text: note }),
    );
    figure.append(caption, legend, plotArea);

    this.#plot = new uPlot(this.#plotOptions(plotArea), [[], ...series.map(() => [])], plotArea);
    new ResizeObserver(() => {
      this.#plot.setSize({ width: plotArea.clientWidth, height: heightPx });
    }).observe(plotArea);
    charts.add(this);
    this.#showLegend();
  }

  /** Shows these values at these times, in seconds before now: 0 is now, -120 the oldest. */
  show(seconds: readonly number[], values: ChartValues): void {
    this.#values = values;
    const drawn = values.map((of, series) => {
      const isBars = this.#options.series[series]!.draw === "bars";
      return isBars ? of.map((value) => value || null) : [...of]; // a bar of no height would leave a line
    });
    this.#plot.setData([[...seconds], ...drawn]);
    this.#showLegend();
  }

  redraw(): void {
    this.#plot.redraw(true, true);
  }

  #showLegend(): void {
    const { format, nothing } = this.#options;
    this.#legend.forEach((text, series) => {
      const of = this.#values[series] ?? [];
      const value = this.#cursor === null ? of.findLast((at) => at !== null) : of[this.#cursor];
      setText(text, typeof value === "number" ? format(Math.abs(value)) : nothing);
    });
  }

  #plotOptions(plotArea: HTMLElement): uPlot.Options {
    const { series, heightPx, isLogarithmic, range, format, formatAxis = format } = this.#options;
    const axis = {
      stroke: () => colour("muted"),
      grid: { stroke: () => colour("grid"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    return {
      width: plotArea.clientWidth,
      height: heightPx,
      legend: { show: false },
      padding: [8, 18, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { time: false, range: [-SHOWN_SECONDS, 0] },
        y: { distr: isLogarithmic ? 3 : 1, range: (_plot, min, max) => range(min, max) },
      },
      axes: [
        {
          ...axis,
          size: 28,
          gap: 8,
          splits: () => [-120, -60, 0],
          values: () => ["2 min ago", "1 min ago", "now"],
        },
        {
          ...axis,
          size: 52,
          gap: 6,
          ...(isLogarithmic && { splits: powersOfTen, filter: (_plot, splits) => splits }),
          values: (_plot, splits) => splits.map((value) => formatAxis(Math.abs(value))),
        },
      ],
      series: [{}, ...series.map(toPlotSeries)],
      hooks: {
        setCursor: [
          ({ cursor }) => {
            this.#cursor = cursor.idx ?? null;
            this.#showLegend();
          },
        ],
      },
    };
  }
}

function powersOfTen(_plot: uPlot, _axis: number, min: number, max: number): number[] {
  const lowest = Math.ceil(Math.log10(min));
  const highest = Math.floor(Math.log10(max));
  return Array.from({ length: highest - lowest + 1 }, (_, index) => 10 ** (lowest + index));
}

function toPlotSeries({ label, colour: name, draw, pale }: ChartSeries): uPlot.Series {
  const stroke = (): string => colour(name);
  switch (draw) {
    case "area":
      return { label, stroke, width: 2, fill: () => `${colour(name)}26`, points: { show: false } };
    case "line":
      return { label, stroke, width: 2, points: { show: false } };
    case "dots":
      return { label, stroke, paths: () => null, points: { show: true, size: 6, fill: stroke } };
    case "bars": {
      const fill = (): string => `${colour(name)}${pale ? "80" : ""}`;
      return {
        label,
        stroke: fill,
        fill,
        width: 0,
        paths: uPlot.paths.bars!({ size: [0.8, 6] }),
        points: { show: false },
      };
    }
  }
}
