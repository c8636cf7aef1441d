import type { Timestamp } from "./protocol.ts";

/**
 * Times of commits and reads are microseconds since the epoch, the resolution of Firestore, exact in a double; only at
 * the protocol's edge do they become Timestamps.
 */
export type Micros = number;

export function timestampOf(micros: Micros): Timestamp {
  const seconds = Math.floor(micros / 1e6);
  return { seconds: String(seconds), nanos: (micros - seconds * 1e6) * 1_000 };
}

export function microsOf({ seconds, nanos }: Timestamp): Micros {
  return Number(seconds) * 1e6 + Math.floor(nanos / 1_000);
}

/** As JSON and CloudEvents write times: RFC 3339 in UTC, with microseconds. */
export function rfc3339({ seconds, nanos }: Timestamp): string {
  const toTheSecond = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
  return `${toTheSecond}.${String(Math.floor(nanos / 1_000)).padStart(6, "0")}Z`;
}

/** Tells the times of commits and reads: a commit comes strictly after every commit and read told before it. */
export class CommitClock {
  readonly #offsetMicros: Micros;
  #last: Micros = 0;

  /** @param offsetMs how far it is ahead of the machine's */
  constructor(offsetMs = 0) {
    this.#offsetMicros = offsetMs * 1_000;
  }

  forCommit(): Micros {
    this.#last = Math.max(this.#now(), this.#last + 1);
    return this.#last;
  }

  forRead(): Micros {
    this.#last = Math.max(this.#now(), this.#last);
    return this.#last;
  }

  #now(): Micros {
    return Math.floor((performance.timeOrigin + performance.now()) * 1_000) + this.#offsetMicros;
  }
}
