import { styleText } from "node:util";
import { formatMs, summarize } from "./latency.ts";

const LABEL_WIDTH = 40;
/** Without a terminal, progress is told this often at most. */
const SPARSE_PROGRESS_MS = 5_000;

/** What was to be so, what was measured, and whether that is it. */
export interface Expectation {
  readonly expected: string;
  readonly measured: string;
  readonly holds: boolean;
}

/** What the report tells whoever follows it. */
export type ReportEntry =
  | { readonly kind: "section"; readonly title: string }
  | { readonly kind: "progress"; readonly text: string }
  | { readonly kind: "result"; readonly what: string; readonly measured: string; readonly holds?: boolean };

type Row = { readonly what: string; readonly measured: string } & Partial<Expectation>;

/** Prints the demo's progress and measurements, and remembers them for the summary at its end. */
export class Report {
  readonly #out: NodeJS.WriteStream;
  readonly #rows: Row[] = [];
  #hasProgressLine = false;
  #lastProgressAt = 0;
  #sections = 0;
  #isMuted = false;
  #tell: (entry: ReportEntry) => void = () => {};

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
  }

  /** Whether anything was not as expected. */
  get failed(): boolean {
    return this.#rows.some(({ holds }) => holds === false);
  }

  /** Tells a follower all that is reported from now on. */
  follow(tell: (entry: ReportEntry) => void): void {
    this.#tell = tell;
  }

  section(title: string): void {
    this.#tell({ kind: "section", title });
    this.#lastProgressAt = performance.now();
    this.#print(`\n${this.#style("bold", `${++this.#sections}. ${title}`)}`);
  }

  /** A sentence that says what is being done or what a number means. */
  note(text: string): void {
    this.#print(`   ${this.#style("dim", text)}`);
  }

  value(label: string, value: string): void {
    this.#tell({ kind: "result", what: label, measured: value });
    this.#printValue(label, value);
  }

  #printValue(label: string, value: string): void {
    this.#print(`   ${label.padEnd(LABEL_WIDTH)}  ${value}`);
  }

  /** A line as it is, to be copied. */
  line(text = ""): void {
    this.#print(text);
  }

  /** Says how far something has got: in one line that changes, or now and then where there is no terminal. */
  progress(text: string): void {
    if (this.#isMuted) return;
    this.#tell({ kind: "progress", text });
    if (this.#out.isTTY) {
      this.#out.write(`\r\x1b[2K   ${text.slice(0, (this.#out.columns || 80) - 4)}`);
      this.#hasProgressLine = true;
      return;
    }
    if (performance.now() - this.#lastProgressAt < SPARSE_PROGRESS_MS) return;
    this.#lastProgressAt = performance.now();
    this.#print(`   ... ${text}`);
  }

  /** A measured distribution, of which nothing in particular is expected: it depends on the machine. */
  latency(what: string, durationsMs: readonly number[]): void {
    const { count, p50, p95, max } = summarize(durationsMs);
    const columns = [p50, p95, max].map((ms) => formatMs(ms).padStart(8));
    this.#printValue(what, `p50 ${columns[0]}   p95 ${columns[1]}   max ${columns[2]}   (${count})`);
    const measured = `p50 ${formatMs(p50)}, p95 ${formatMs(p95)}`;
    this.#rows.push({ what, measured });
    this.#tell({ kind: "result", what, measured });
  }

  expect(what: string, expectation: Expectation): void {
    const { holds, expected, measured } = expectation;
    this.#tell({ kind: "result", what, measured, holds });
    const outcome = holds ? measured : `expected ${expected}; got ${measured}`;
    this.#print(` ${this.#mark(holds)} ${what.padEnd(LABEL_WIDTH)}  ${outcome}`);
    this.#rows.push({ what, ...expectation });
  }

  summary(): void {
    const expectations = this.#rows.filter(({ holds }) => holds !== undefined);
    const held = expectations.filter(({ holds }) => holds).length;
    const header: Row = { what: "what", expected: "expected", measured: "measured" };
    const table = [header, ...this.#rows];
    const width = (cell: (row: Row) => string): number => Math.max(...table.map((row) => cell(row).length));
    const whatWidth = width(({ what }) => what);
    const expectedWidth = width(({ expected }) => expected ?? "");
    this.#print(`\n${this.#style("bold", "Summary")}`);
    for (const row of table) {
      const mark = row.holds === undefined ? " " : this.#mark(row.holds);
      const cells = `${row.what.padEnd(whatWidth)}  ${(row.expected ?? "").padEnd(expectedWidth)}  ${row.measured}`;
      this.#print(` ${mark} ${row === header ? this.#style("dim", cells) : cells}`);
    }
    this.#print(`\n${held} of ${expectations.length} expectations held.`);
  }

  /** Prints nothing more: what is still under way when the demo is interrupted fails, and need not be told. */
  mute(): void {
    this.#isMuted = true;
  }

  #print(text: string): void {
    if (this.#isMuted) return;
    if (this.#hasProgressLine) this.#out.write("\r\x1b[2K");
    this.#hasProgressLine = false;
    this.#out.write(`${text}\n`);
  }

  #mark(holds: boolean): string {
    return holds ? this.#style("green", "✓") : this.#style("red", "✗");
  }

  #style(format: "bold" | "dim" | "green" | "red", text: string): string {
    return this.#out.isTTY && !process.env["NO_COLOR"]
      ? styleText(format, text, { validateStream: false })
      : text;
  }
}
