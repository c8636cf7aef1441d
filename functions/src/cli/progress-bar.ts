const WIDTH = 20;

/** How far work has got, drawn over itself on a terminal; elsewhere nothing is drawn. */
export class ProgressBar {
  private drawn = false;

  constructor(
    private readonly terminal: ((text: string) => void) | undefined,
    private readonly what: string,
    private readonly total: number,
  ) {}

  update(done: number): void {
    if (!this.terminal) return;
    const share = this.total === 0 ? 1 : Math.min(1, done / this.total);
    const bar = "#".repeat(Math.round(WIDTH * share)).padEnd(WIDTH);
    this.terminal(`\r[${bar}] ${done} of ${this.total} ${this.what}`);
    this.drawn = true;
  }

  /** Leaves the last line standing. */
  end(): void {
    if (this.drawn) this.terminal?.("\n");
  }
}
