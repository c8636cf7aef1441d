import type { Pair } from "./bar-chart.ts";
import { median } from "./measure.ts";

/** The ratio is to be at most, or at least, so much. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number };

/** Both sides of a comparison; each call returns figures of one turn. */
export interface Sides {
  readonly ours: () => Promise<number[]>;
  readonly theirs: () => Promise<number[]>;
  readonly runs?: number;
  readonly turns?: number;
}

const COLUMNS = [24, 12, 12, 12, 8, 16, 14] as const;

/** Compares pairs of figures, and prints a line for each. */
export class ComparisonTable {
  /** By the comparisons' names. */
  readonly ratios: Record<string, number> = {};
  /** Medians of both sides. */
  readonly pairs: Pair[] = [];

  private readonly defaults: { readonly runs: number; readonly turns: number };

  constructor(defaults: { readonly runs: number; readonly turns: number }) {
    this.defaults = defaults;
  }

  printHeader(): void {
    console.log(line(["", "this", "peer", "", "ratio", "of the runs", "goal"]));
  }

  /** Has both sides take turns in each run; the ratio is the median of the runs' ratios. */
  async compare(
    { name, unit, goal }: { readonly name: string; readonly unit: string; readonly goal?: Goal | undefined },
    { ours, theirs, runs = this.defaults.runs, turns = this.defaults.turns }: Sides,
  ): Promise<void> {
    const all = { ours: [] as number[], theirs: [] as number[], ratios: [] as number[] };
    for (let run = 0; run < runs; run++) {
      const figures = { ours: [] as number[], theirs: [] as number[] };
      for (let turn = 0; turn < turns; turn++) {
        if (turn % 2 === 0) figures.ours.push(...(await ours()));
        figures.theirs.push(...(await theirs()));
        if (turn % 2 === 1) figures.ours.push(...(await ours()));
      }
      all.ours.push(median(figures.ours));
      all.theirs.push(median(figures.theirs));
      all.ratios.push(median(figures.ours) / median(figures.theirs));
    }
    const ratio = median(all.ratios);
    this.ratios[name] = Math.round(ratio * 1000) / 1000;
    const spread = `${Math.min(...all.ratios).toFixed(2)}-${Math.max(...all.ratios).toFixed(2)}`;
    const pair = { name, ours: median(all.ours), theirs: median(all.theirs) };
    this.pairs.push(pair);
    console.log(
      line([
        name,
        figure(pair.ours),
        figure(pair.theirs),
        unit,
        ratio.toFixed(2),
        spread,
        verdict(goal, ratio),
      ]),
    );
  }
}

function line(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(COLUMNS[i]!) : cell.padStart(COLUMNS[i]!))).join("");
}

function figure(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toFixed(1);
}

function verdict(goal: Goal | undefined, ratio: number): string {
  if (goal === undefined) return "";
  return "atMost" in goal
    ? `<= ${goal.atMost} ${ratio <= goal.atMost ? "yes" : "NO"}`
    : `>= ${goal.atLeast} ${ratio >= goal.atLeast ? "yes" : "NO"}`;
}
