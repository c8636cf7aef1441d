import type { Decision } from "./decision";
import type { SubjectLimits } from "./limit-algorithms";
import type { Referee } from "./rate-limit-store";

/** What is done with the counts of a subject. */
export type Operation = "peek" | "take" | "refund";

/** Who waits for the answer to a request, and whoever asked the same after that. */
export interface Asker {
  readonly resolve: (decision: Decision | Promise<Decision>) => void;
  readonly reject: (error: unknown) => void;
  next: Asker | undefined;
}

/** Requests alike about one subject: one entry of a script, and an answer for each. */
export interface AlikeRequests extends Asker {
  readonly subject: string;
  times: number;
  last: Asker | undefined;
}

/** Requests alike but for their subjects. */
export interface RequestGroup {
  readonly limits: SubjectLimits;
  readonly operation: Operation;
  readonly cost: number;
  readonly bucket: number;
  readonly referee: Referee | undefined;
  readonly requests: readonly AlikeRequests[];
}

interface Gathering extends Omit<RequestGroup, "requests"> {
  readonly bySubject: Map<string, AlikeRequests>;
}

/** So many subjects travel as one: with more, few callers would have Node.js and Redis wait for each other. */
const WHOLE = 32;
const MAX_PART = 128;

/**
 * Gathers what is asked for in one turn of the event loop: requests alike about a subject become one, and all of them
 * travel in a few parts, so that Node.js and Redis work at the same time. Who asks alone, as the one before did, does not
 * wait for the turn to end.
 */
export class RequestBatcher {
  private gatherings = new Map<SubjectLimits, Gathering[]>();
  private subjects = 0;
  private lastSubjects = 1;
  private unanswered = 0;

  /**
   * @param send asks for the answers to requests of one bucket, whose policies all have one limit or all have several
   * @param deal gives them to those who asked; what `send` throws, these get
   * @param bucketOf where a subject's counts are
   * @param monotonicMs a clock that is never set, which tells `deal` when `send` began
   */
  constructor(
    private readonly send: (groups: readonly RequestGroup[]) => Promise<Buffer>,
    private readonly deal: (groups: readonly RequestGroup[], reply: Buffer, sentMs: number) => void,
    private readonly bucketOf: (subject: string) => number,
    private readonly monotonicMs: () => number,
  ) {}

  /** @param referee decides if the request fails */
  ask(
    limits: SubjectLimits,
    subject: string,
    operation: Operation,
    cost: number,
    referee?: Referee,
  ): Promise<Decision> {
    return new Promise((resolve, reject) => {
      const bucket = this.bucketOf(subject);
      if (this.unanswered === 0 && this.subjects === 0 && this.lastSubjects === 1) {
        const request = { subject, times: 1, resolve, reject, next: undefined, last: undefined };
        void this.sendPart([{ limits, operation, cost, bucket, referee, requests: [request] }]);
        return;
      }
      const { bySubject } = this.gathering(limits, operation, cost, bucket, referee);
      const first = bySubject.get(subject);
      if (first !== undefined) {
        first.times++;
        first.last = (first.last ?? first).next = { resolve, reject, next: undefined };
        return;
      }
      bySubject.set(subject, { subject, times: 1, resolve, reject, next: undefined, last: undefined });
      // A microtask would gather too little: each request of a server arrives in a callback of its own.
      if (++this.subjects === 1) setImmediate(() => this.flush());
    });
  }

  private gathering(
    limits: SubjectLimits,
    operation: Operation,
    cost: number,
    bucket: number,
    referee: Referee | undefined,
  ): Gathering {
    let those = this.gatherings.get(limits);
    if (those === undefined) this.gatherings.set(limits, (those = []));
    for (const each of those)
      if (
        each.operation === operation &&
        each.cost === cost &&
        each.bucket === bucket &&
        each.referee === referee
      )
        return each;
    const gathering = {
      limits,
      operation,
      cost,
      bucket,
      referee,
      bySubject: new Map<string, AlikeRequests>(),
    };
    those.push(gathering);
    return gathering;
  }

  private flush(): void {
    const gatherings = [...this.gatherings.values()].flat();
    this.gatherings = new Map();
    this.lastSubjects = this.subjects;
    this.subjects = 0;
    // What may travel together, by bucket and by whether there is one limit.
    const lanes = new Map<number, Gathering[]>();
    for (const each of gatherings) {
      const lane = 2 * each.bucket + Math.min(1, each.limits.limits.length - 1);
      const those = lanes.get(lane);
      if (those === undefined) lanes.set(lane, [each]);
      else those.push(each);
    }
    for (const lane of lanes.values()) this.sendInParts(lane);
  }

  private sendInParts(gatherings: readonly Gathering[]): void {
    const subjects = gatherings.reduce((sum, { bySubject }) => sum + bySubject.size, 0);
    // While others are under way Redis has something to do, and a small part would only cost more.
    const wholes = this.unanswered === 0 ? Math.ceil(subjects / WHOLE) : Math.floor(subjects / WHOLE);
    const parts = Math.max(1, Math.min(4, wholes), Math.ceil(subjects / MAX_PART));
    const size = Math.ceil(subjects / parts);
    let part: RequestGroup[] = [];
    let room = size;
    for (const { bySubject, ...alike } of gatherings) {
      const all = [...bySubject.values()];
      for (let start = 0; start < all.length;) {
        const requests = all.slice(start, start + room);
        part.push({ ...alike, requests });
        start += requests.length;
        room -= requests.length;
        if (room > 0) continue;
        void this.sendPart(part);
        part = [];
        room = size;
      }
    }
    if (part.length > 0) void this.sendPart(part);
  }

  private async sendPart(groups: readonly RequestGroup[]): Promise<void> {
    const sentMs = this.monotonicMs();
    this.unanswered++;
    let reply;
    try {
      reply = await this.send(groups);
    } catch (error) {
      this.unanswered--;
      forEachAsker(groups, (asker, group, subject) => fail(asker, group, subject, error as Error));
      return;
    }
    // First, as who is answered may ask again at once, and alone.
    this.unanswered--;
    try {
      this.deal(groups, reply, sentMs);
    } catch (error) {
      forEachAsker(groups, (asker) => asker.reject(error));
    }
  }
}

function forEachAsker(
  groups: readonly RequestGroup[],
  visit: (asker: Asker, group: RequestGroup, subject: string) => void,
): void {
  for (const group of groups)
    for (const first of group.requests)
      for (let asker: Asker | undefined = first; asker !== undefined; asker = asker.next)
        visit(asker, group, first.subject);
}

function fail(
  { resolve, reject }: Asker,
  { limits, operation, cost, referee }: RequestGroup,
  subject: string,
  error: Error,
): void {
  if (referee === undefined) return reject(error);
  try {
    resolve(referee.decideInstead(limits, subject, { cost, peek: operation === "peek" }, error));
  } catch (failure) {
    reject(failure);
  }
}
