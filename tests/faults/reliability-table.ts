import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Result } from "./scenario.ts";

const PAGE = join(import.meta.dirname, "../../docs/reliability.md");
const BEGIN = "<!-- figures: npm run test:faults -- --write -->";
const END = "<!-- end of figures -->";

const count = (number: number): string => number.toLocaleString("en-US");
const milliseconds = (ms: number | undefined): string =>
  ms === undefined ? "-" : ms === Infinity ? "never" : count(Math.round(ms));

const COLUMNS: readonly (readonly [title: string, cell: (result: Result) => string])[] = [
  ["Fault", ({ scenario }) => scenario.name],
  ["`MODE`", ({ scenario }) => scenario.mode],
  ["By Redis", ({ during }) => count(during.bySource.redis)],
  ["By Firestore", ({ during }) => count(during.bySource.firestore)],
  [
    "By `onRedisFailure`",
    ({ during: { bySource } }) => count(bySource.local + bySource.open + bySource.closed),
  ],
  ["Failed", ({ during }) => count(during.unavailable)],
  ["Unknown", ({ unknown }) => count(unknown)],
  ["Wrong", ({ wrong }) => count(wrong.length)],
  [
    "Lost",
    ({ lost, pending, scenario }) =>
      scenario.losesRedisData && pending ? `${lost} of ${pending}` : count(lost),
  ],
  ["Doubled", ({ doubled }) => count(doubled)],
  ["Beyond limit", ({ overrun }) => count(overrun)],
  ["Slowest ms", ({ slowestMs }) => milliseconds(slowestMs)],
  ["Slowest rate limit ms", ({ slowestLimitMs }) => milliseconds(slowestLimitMs)],
  ["Recovery ms", ({ recoveryMs }) => milliseconds(recoveryMs)],
];

/** All results as a table of Markdown, whose columns line up. */
export function toTable(results: readonly Result[]): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...results.map((result) => COLUMNS.map(([, cell]) => cell(result))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => {
    const cells = row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)));
    return `| ${cells.join(" | ")} |`;
  });
  const rule = widths.map((width, i) => (i < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [lines[0], `| ${rule.join(" | ")} |`, ...lines.slice(1)].join("\n");
}

/** Puts the figures into docs/reliability.md. */
export function writeFigures(figures: string): void {
  const page = readFileSync(PAGE, "utf8");
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/reliability.md lacks the lines ${BEGIN} and ${END}.`);
  writeFileSync(PAGE, `${page.slice(0, begin + BEGIN.length)}\n\n${figures}\n\n${page.slice(end)}`);
}
