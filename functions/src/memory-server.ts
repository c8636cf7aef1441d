/** Whether a server answers: `silent` does what it is asked, and its answer does not arrive. */
export type Presence = "present" | "away" | "silent";

/** What stands for a server that is in memory. */
export class MemoryServer {
  presence: Presence = "present";

  /** @param noAnswer the error of who is not answered */
  constructor(private readonly noAnswer: (outcome: "not-executed" | "unknown", cause: Error) => Error) {}

  /** @throws what `noAnswer` makes, or what `use` throws */
  async run<T>(use: () => T | Promise<T>): Promise<T> {
    const cause = new Error("the test says so");
    if (this.presence === "away") throw this.noAnswer("not-executed", cause);
    const answer = await use();
    if (this.presence === "silent") throw this.noAnswer("unknown", cause);
    return answer;
  }
}
