import type { Pair } from "./bar-chart.ts";
import { median } from "./measure.ts";

/** The ratio is to be at most, or at least, so much. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number };

/** What is compared. */
export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly goal?: Goal | undefined;
}

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
  async compare(what: Comparison, sides: Sides): Promise<void> {
    await this.compareAll([{ ...what, ...sides }]);
  }

  /** {@link compare} for each: a run of all, then another, so that a slow minute of the machine spoils no comparison whole. */
  async compareAll(comparisons: readonly (Comparison & Sides)[]): Promise<void> {
    const all = comparisons.map(({ runs = this.defaults.runs, ...comparison }) => ({
      ...comparison,
      runs,
      figures: { ours: [] as number[], theirs: [] as number[], ratios: [] as number[] },
    }));
    for (let run = 0; run < Math.max(...all.map(({ runs }) => runs)); run++) {
      for (const { figures, runs, turns = this.defaults.turns, ...sides } of all) {
        if (run >= runs) continue;
        const { ours, theirs } = await takeTurns(sides, turns);
        figures.ours.push(ours);
        figures.theirs.push(theirs);
        figures.ratios.push(ours / theirs);
      }
    }
    for (const { name, unit, goal, figures } of all) {
      const ratio = median(figures.ratios);
      this.ratios[name] = Math.round(ratio * 1000) / 1000;
      const spread = `${Math.min(...figures.ratios).toFixed(2)}-${Math.max(...figures.ratios).toFixed(2)}`;
      const pair = { name, ours: median(figures.ours), theirs: median(figures.theirs) };
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
}

/** The medians of both sides. */
async function takeTurns(
  { ours, theirs }: Pick<Sides, "ours" | "theirs">,
  turns: number,
): Promise<{ ours: number; theirs: number }> {
  const figures = { ours: [] as number[], theirs: [] as number[] };
  for (let turn = 0; turn < turns; turn++) {
    if (turn % 2 === 0) figures.ours.push(...(await ours()));
    figures.theirs.push(...(await theirs()));
    if (turn % 2 === 1) figures.ours.push(...(await ours()));
  }
  return { ours: median(figures.ours), theirs: median(figures.theirs) };
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
