import { costOf, type Advice, type Option, type Workload } from "./advice";

const WIDTH = 640;
const COLOURS: Readonly<Record<Option, string>> = {
  stay: "#d97706",
  "dual-write": "#0d9488",
  "redis-primary": "#3367d6",
};

/** The plot of costs by load. */
const PLOT = { left: 70, top: 260, width: 530, height: 180 } as const;
const POINTS = 60;

/** The costs of each option, beside each other and as the load grows, with the load at which they meet. */
export function costsSvg(advice: Advice, workload: Workload): string {
  const { costs, prices } = advice;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="500" viewBox="0 0 ${WIDTH} 500" ` +
    `font-family="sans-serif" font-size="14"><rect width="${WIDTH}" height="500" fill="#fff"/>` +
    `<text x="16" y="24" font-weight="bold">Dollars a month</text>` +
    `<text x="16" y="40" font-size="10">${prices.asOf}</text>` +
    bars(costs) +
    `<text x="16" y="228" font-weight="bold">As the load grows</text>` +
    lines(advice, workload) +
    `</svg>\n`
  );
}

function bars(costs: Advice["costs"]): string {
  const most = Math.max(...costs.map(({ total }) => total), 1);
  return costs
    .map(({ option, total }, i) => {
      const y = 56 + 44 * i;
      const width = (total / most) * 400;
      return (
        text(16, y + 20, option) +
        `<rect x="140" y="${y}" width="${width.toFixed(1)}" height="28" fill="${COLOURS[option]}"/>` +
        text(148 + width, y + 20, `$${total.toFixed(2)}`)
      );
    })
    .join("");
}

function lines({ costs, prices, breakEvenFactor }: Advice, workload: Workload): string {
  // Far enough to see where the lines cross.
  const farthest = 2 * Math.max(1, breakEvenFactor ?? 1);
  const totals = costs.map(({ option }) => ({
    option,
    values: Array.from(
      { length: POINTS + 1 },
      (_, i) => costOf(option, workload, { scale: (farthest * i) / POINTS, prices }).total,
    ),
  }));
  const most = Math.max(...totals.flatMap(({ values }) => values), 1);
  const x = (scale: number) => PLOT.left + (scale / farthest) * PLOT.width;
  const y = (total: number) => PLOT.top + PLOT.height * (1 - total / most);
  const bottom = PLOT.top + PLOT.height;
  const curves = totals.map(({ option, values }) => {
    const points = values.map(
      (total, i) => `${x((farthest * i) / POINTS).toFixed(1)},${y(total).toFixed(1)}`,
    );
    return `<polyline fill="none" stroke="${COLOURS[option]}" stroke-width="2" points="${points.join(" ")}"/>`;
  });
  const mark = (scale: number, label: string) =>
    `<line x1="${x(scale).toFixed(1)}" y1="${PLOT.top}" x2="${x(scale).toFixed(1)}" y2="${bottom}" stroke="#666" stroke-dasharray="4"/>` +
    text(x(scale), bottom + 18, label, "middle");
  return (
    `<path d="M${PLOT.left} ${PLOT.top}V${bottom}H${PLOT.left + PLOT.width}" fill="none" stroke="#666"/>` +
    text(PLOT.left - 6, PLOT.top + 5, `$${most.toFixed(0)}`, "end") +
    text(PLOT.left - 6, bottom, "$0", "end") +
    curves.join("") +
    mark(1, "yours") +
    (breakEvenFactor === undefined
      ? ""
      : mark(breakEvenFactor, `break-even: ${breakEvenFactor.toFixed(1)} times`)) +
    text(PLOT.left + PLOT.width, bottom + 40, `${farthest.toFixed(1)} times your reads and calls`, "end")
  );
}

function text(x: number, y: number, content: string, anchor = "start"): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${content}</text>`;
}
