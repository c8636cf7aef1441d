/** A fixed window before a request, the request, and what is decided: run against the pure functions and the Lua. */
export interface FixedWindowCase {
  readonly name: string;
  /** The window under way: what was counted, and how long it lasts yet. */
  readonly before?: { readonly count: number; readonly endsInMs: number };
  readonly limit: number;
  readonly windowMs: number;
  readonly cost: number;
  readonly peek?: boolean;
  readonly allowed: boolean;
  /** What is counted afterwards. */
  readonly count: number;
  /** How long the window lasts then. */
  readonly endsInMs: number;
}

export const FIXED_WINDOW_CASES: readonly FixedWindowCase[] = [
  {
    name: "the first request opens the window",
    limit: 3,
    windowMs: 60_000,
    cost: 1,
    allowed: true,
    count: 1,
    endsInMs: 60_000,
  },
  {
    name: "a later one counts in it and does not prolong it",
    before: { count: 1, endsInMs: 20_000 },
    limit: 3,
    windowMs: 60_000,
    cost: 1,
    allowed: true,
    count: 2,
    endsInMs: 20_000,
  },
  {
    name: "the last one within the limit",
    before: { count: 2, endsInMs: 20_000 },
    limit: 3,
    windowMs: 60_000,
    cost: 1,
    allowed: true,
    count: 3,
    endsInMs: 20_000,
  },
  {
    name: "one above the limit is refused and not counted",
    before: { count: 3, endsInMs: 20_000 },
    limit: 3,
    windowMs: 60_000,
    cost: 1,
    allowed: false,
    count: 3,
    endsInMs: 20_000,
  },
  {
    name: "a cost that just fits",
    before: { count: 4, endsInMs: 20_000 },
    limit: 10,
    windowMs: 60_000,
    cost: 6,
    allowed: true,
    count: 10,
    endsInMs: 20_000,
  },
  {
    name: "a cost that does not fit is refused whole",
    before: { count: 5, endsInMs: 20_000 },
    limit: 10,
    windowMs: 60_000,
    cost: 6,
    allowed: false,
    count: 5,
    endsInMs: 20_000,
  },
  {
    name: "a limit of 0 refuses all",
    limit: 0,
    windowMs: 60_000,
    cost: 1,
    allowed: false,
    count: 0,
    endsInMs: 60_000,
  },
  {
    name: "a peek counts nothing",
    before: { count: 1, endsInMs: 20_000 },
    limit: 3,
    windowMs: 60_000,
    cost: 1,
    peek: true,
    allowed: true,
    count: 1,
    endsInMs: 20_000,
  },
  {
    name: "a peek opens no window",
    limit: 3,
    windowMs: 60_000,
    cost: 1,
    peek: true,
    allowed: true,
    count: 0,
    endsInMs: 60_000,
  },
  {
    name: "a peek sees a refusal",
    before: { count: 3, endsInMs: 20_000 },
    limit: 3,
    windowMs: 60_000,
    cost: 1,
    peek: true,
    allowed: false,
    count: 3,
    endsInMs: 20_000,
  },
];
