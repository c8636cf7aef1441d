import {
  BrokenCircuitError,
  BulkheadRejectedError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleWhen,
  isBrokenCircuitError,
  isBulkheadRejectedError,
} from "cockatiel";

/** So many uses under way at most, as many as requests that an instance can have: more would wait in vain. */
const MAX_UNDER_WAY = 1000;

/** After so many answers in a row that came too late, Redis is not asked until it answers again. */
const TOO_LATE_IN_A_ROW = 3;

/**
 * Around every use of one connection to Redis (a circuit breaker within a bulkhead): who asks while Redis is known to
 * answer too late does not wait for it. It is asked again in the background, so that no caller waits for that either.
 */
export class Circuit {
  private readonly breaker;
  private underWay = 0;
  /** Whether the last answer came too late. */
  private isWavering = false;

  /**
   * @param isTooLate tells of an error whether its asker had waited in vain
   * @param onChange is told when the circuit opens, and when it closes again
   */
  constructor(
    private readonly isTooLate: (error: Error) => boolean,
    onChange: (state: "open" | "closed") => void,
  ) {
    this.breaker = circuitBreaker(handleWhen(isTooLate), {
      halfOpenAfter: new ExponentialBackoff({ initialDelay: 50, maxDelay: 1000 }),
      breaker: new ConsecutiveBreaker(TOO_LATE_IN_A_ROW),
    });
    let open = false;
    const change = (to: boolean) => {
      if (to !== open) onChange(to ? "open" : "closed");
      open = to;
    };
    this.breaker.onBreak(() => change(true));
    this.breaker.onReset(() => change(false));
  }

  get isClosed(): boolean {
    return this.breaker.state === CircuitState.Closed;
  }

  /** @throws what `use` throws, BulkheadRejectedError, or BrokenCircuitError while Redis is not asked */
  async run<T>(use: () => Promise<T>): Promise<T> {
    if (!this.isClosed) throw new BrokenCircuitError();
    if (this.underWay >= MAX_UNDER_WAY) throw new BulkheadRejectedError(MAX_UNDER_WAY, 0);
    this.underWay++;
    try {
      const answer = await use();
      if (this.isWavering) this.tell();
      return answer;
    } catch (error) {
      if (this.isTooLate(error as Error)) this.tell(error as Error);
      throw error;
    } finally {
      this.underWay--;
    }
  }

  /** While all answers come in time the breaker is not in their way: it costs a lone caller 2 % of a round trip. */
  private tell(tooLate?: Error): void {
    this.isWavering = tooLate !== undefined;
    this.breaker
      .execute(() => {
        if (tooLate !== undefined) throw tooLate;
      })
      .catch(() => {});
  }

  /** Asks Redis again if it is time to: an answer closes the circuit. Of several at once the first does. */
  probe(ask: () => Promise<unknown>): void {
    if (this.breaker.state === CircuitState.Open) this.breaker.execute(ask).catch(() => {});
  }
}

/** Whether a use was refused by the circuit: then nothing was asked of Redis. */
export function isRejected(error: Error): boolean {
  return isBrokenCircuitError(error) || isBulkheadRejectedError(error);
}
