const MAX_CHUNK = 128;

/**
 * Gathers what is asked for in one turn of the event loop and sends it together: one round trip and one script call for
 * many questions. Larger gatherings travel in several parts, so that Node.js and Redis work at the same time.
 * Who asks alone, as the one before did, does not wait for the turn to end.
 */
export class Batcher<Question, Answer> {
  private waiting: Waiting<Question, Answer>[] = [];
  private unanswered = 0;
  private lastGathered = 1;

  /**
   * @param send answers questions, in their order; what it throws, the askers of those questions get
   * @param whole so many and fewer travel as one: the more, the more a `send` costs however little it is asked
   * @param partitionOf on a cluster, where only questions of the same partition may travel together, and fail together
   */
  constructor(
    private readonly send: (questions: readonly Question[]) => Promise<readonly Answer[]>,
    private readonly whole: number,
    private readonly partitionOf?: (question: Question) => number,
  ) {}

  ask(question: Question): Promise<Answer> {
    if (this.unanswered === 0 && this.waiting.length === 0 && this.lastGathered === 1)
      return this.sendCounted([question]).then(([answer]) => answer!);
    return new Promise((resolve, reject) => {
      // A microtask would gather too little: each request of a server arrives in a callback of its own.
      if (this.waiting.push({ question, resolve, reject }) === 1) setImmediate(() => this.flush());
    });
  }

  private flush(): void {
    const { waiting } = this;
    this.waiting = [];
    this.lastGathered = waiting.length;
    for (const askers of this.partitioned(waiting)) this.sendInParts(askers);
  }

  private partitioned(waiting: Waiting<Question, Answer>[]): Iterable<Waiting<Question, Answer>[]> {
    const { partitionOf } = this;
    if (partitionOf === undefined) return [waiting];
    const partitions = new Map<number, Waiting<Question, Answer>[]>();
    for (const asker of waiting) {
      const partition = partitionOf(asker.question);
      const askers = partitions.get(partition);
      if (askers === undefined) partitions.set(partition, [asker]);
      else askers.push(asker);
    }
    return partitions.values();
  }

  private sendInParts(waiting: readonly Waiting<Question, Answer>[]): void {
    const size = Math.min(MAX_CHUNK, Math.max(this.whole, Math.ceil(waiting.length / 4)));
    for (let start = 0; start < waiting.length; start += size)
      void this.answer(waiting.slice(start, start + size));
  }

  private async answer(askers: readonly Waiting<Question, Answer>[]): Promise<void> {
    try {
      const answers = await this.sendCounted(askers.map(({ question }) => question));
      askers.forEach(({ resolve }, i) => resolve(answers[i]!));
    } catch (error) {
      for (const { reject } of askers) reject(error);
    }
  }

  private async sendCounted(questions: readonly Question[]): Promise<readonly Answer[]> {
    this.unanswered++;
    try {
      return await this.send(questions);
    } finally {
      this.unanswered--;
    }
  }
}

interface Waiting<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}
