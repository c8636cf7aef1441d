import { explore } from "./explore";
import type { Exploration } from "./explore";
import { ENVIRONMENT, Protocol, RULES } from "./protocol";
import type { Bounds, Environment, Rules } from "./protocol";
import { modelOf } from "./protocol-model";

const SMALL: Bounds = {
  limits: [2, 3],
  consumptions: 2,
  refunds: 1,
  edits: 1,
  deletions: 0,
  flushes: 2,
  workers: 2,
};
const MAX_STATES = 8_000_000;
const TIMEOUT_MS = 300_000;

/** Explores, and prints what it took. */
function exploration(
  name: string,
  protocol: Protocol,
  options: { readonly reduce?: boolean } = {},
): Exploration {
  const result = explore(modelOf(protocol, options), { maxStates: MAX_STATES });
  const { states, transitions, depth, ms, bytes, violation } = result;
  process.stdout.write(
    `${name}: ${states} states, ${transitions} transitions, ${depth} deep, ` +
      `${(ms / 1000).toFixed(1)} s, ${Math.round(bytes / 1e6)} MB${violation ? `: ${violation.message}` : ""}\n`,
  );
  return result;
}

/** What is wrong and the run that shows it, state by state; nothing if all is well. */
function explanation({ violation }: Exploration): string | undefined {
  return (
    violation &&
    [violation.message, ...violation.trace.map(({ label, state }) => `${label}\n    ${state}`)].join("\n")
  );
}

describe("the protocol of section 6 holds in every state", () => {
  test.each<[string, Bounds]>([
    [
      "4 consumptions, 2 edits, 4 flushes, 2 workers",
      { ...SMALL, consumptions: 4, refunds: 0, edits: 2, flushes: 4 },
    ],
    [
      "2 refunds, and limits that are lowered and raised",
      { ...SMALL, limits: [2, 4, 1], consumptions: 3, refunds: 2, edits: 2 },
    ],
    ["3 workers", { ...SMALL, consumptions: 3, flushes: 3, workers: 3 }],
    [
      "documents that are deleted and created anew, twice",
      { ...SMALL, consumptions: 3, edits: 0, deletions: 2 },
    ],
    ["all of it", { ...SMALL, limits: [2, 4], consumptions: 3, deletions: 1, flushes: 3 }],
  ])(
    "%s",
    (name, bounds) => {
      expect(explanation(exploration(name, new Protocol(bounds)))).toBeUndefined();
    },
    TIMEOUT_MS,
  );
});

describe("what the exploration itself is worth", () => {
  test("leaving out what has no effect any more hides nothing", () => {
    const bounds = { ...SMALL, consumptions: 3, refunds: 0 };
    const full = exploration("nothing left out", new Protocol(bounds), { reduce: false });
    const reduced = exploration("the same, reduced", new Protocol(bounds), { reduce: true });
    expect(explanation(full)).toBeUndefined();
    expect(reduced.states).toBeLessThan(full.states / 5);
  });

  test("every kind of step is taken", () => {
    const labels = new Set<string>();
    const model = modelOf(new Protocol({ ...SMALL, deletions: 1 }));
    explore(
      {
        ...model,
        steps: (state, visit) => {
          model.steps(state, (next, label, broken) => {
            if (next !== state) labels.add(label().replaceAll(/-?\d+/g, "#"));
            visit(next, label, broken);
          });
        },
      },
      { maxStates: MAX_STATES },
    );
    expect([...labels].sort()).toMatchInlineSnapshot(`
     [
       "a reader applies version #, read when it was current",
       "consume #: accepted",
       "event of version # is delivered",
       "refund #",
       "someone creates the document anew",
       "someone deletes the document",
       "someone resets used to #",
       "someone sets the limit to #",
       "the entry expires",
       "time passes: version # was written # s ago",
       "worker # acknowledges version #",
       "worker # applies version #, which it read",
       "worker # begins flush # of #",
       "worker # crashes",
       "worker # reads the document",
       "worker # resumes #",
       "worker # runs its transaction (it is not the version it knew)",
       "worker # writes blindly",
       "worker # writes blindly, unanswered",
     ]
    `);
  });
});

describe("a protocol that is simpler by one decision falls", () => {
  const variant = (
    name: string,
    {
      bounds = {},
      rules = {},
      environment = {},
    }: { bounds?: Partial<Bounds>; rules?: Partial<Rules>; environment?: Partial<Environment> },
  ): string => {
    const protocol = new Protocol(
      { ...SMALL, refunds: 0, ...bounds },
      { ...RULES, ...rules },
      { ...ENVIRONMENT, ...environment },
    );
    const { violation } = exploration(name, protocol);
    return violation
      ? [...violation.trace.map(({ label }) => label), `=> ${violation.message}`].join("\n")
      : "holds";
  };

  test("flush ids compared by equality: a worker that wakes up adds an old flush again", () => {
    expect(variant("equality", { rules: { flushIds: "equal" } })).toMatchInlineSnapshot(`
     "a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     consume 1: accepted
     worker 1 writes blindly, unanswered
     event of version 1 is delivered
     worker 2 begins flush 2 of 1
     worker 2 writes blindly
     worker 1 runs its transaction (it is not the version it knew)
     => usage is counted twice: Redis holds 0, and Firestore lacks -1"
    `);
  });

  test("late snapshots create entries: one brings back a limit that was changed since", () => {
    expect(variant("late snapshots", { rules: { lateSnapshots: "create" } })).toMatchInlineSnapshot(`
     "someone sets the limit to 3
     event of version 1 is delivered
     the entry expires
     event of version 0 is delivered
     => at rest, Redis has 0 of 2, and Firestore 0 of 3"
    `);
  });

  test("late snapshots create entries: one lets accept what is used up", () => {
    expect(
      variant("late snapshots", { bounds: { limits: [2], edits: 0 }, rules: { lateSnapshots: "create" } }),
    ).toMatchInlineSnapshot(`
     "event of version 0 is delivered
     consume 1: accepted
     worker 1 begins flush 1 of 1
     worker 1 writes blindly
     event of version 1 is delivered
     the entry expires
     event of version 0 is delivered
     => effective used is 0 after 1 were accepted"
    `);
  });

  test("ack clears what is in flight without taking what was written: it is gone until the event comes", () => {
    expect(variant("clearing ack", { rules: { ack: "clear" } })).toMatchInlineSnapshot(`
     "a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     worker 1 writes blindly
     worker 1 acknowledges version 1
     => effective used is 0 after 1 were accepted"
    `);
  });

  test("effective used is a plain sum: a refund in flight over a reset is forgiven twice", () => {
    expect(variant("plain sum", { bounds: { refunds: 1 }, rules: { effectiveUsed: "sum" } }))
      .toMatchInlineSnapshot(`
     "a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     refund 1
     worker 1 writes blindly
     someone resets used to 0
     event of version 1 is delivered
     worker 2 begins flush 2 of -1
     event of version 2 is delivered
     => effective used is 0, and Firestore will have 1"
    `);
  });

  test("a blind write writes a plain sum: Firestore's used gets negative", () => {
    expect(variant("plain write", { bounds: { refunds: 1 }, rules: { conditionalWrite: "sum" } }))
      .toMatchInlineSnapshot(`
     "a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     refund 1
     worker 1 writes blindly
     someone resets used to 0
     event of version 1 is delivered
     worker 2 begins flush 2 of -1
     event of version 2 is delivered
     worker 1 crashes
     worker 1 resumes 2
     worker 1 writes blindly
     => Firestore's used is negative"
    `);
  });

  test("nobody looks at createTime: usage of a deleted document goes into its successor", () => {
    expect(variant("no createTime", { bounds: { deletions: 1, edits: 0 }, rules: { createTime: "ignored" } }))
      .toMatchInlineSnapshot(`
     "someone deletes the document
     someone creates the document anew
     a reader applies version 0, read when it was current
     consume 1: accepted
     event of version 2 is delivered
     => usage is counted twice: Redis holds 1, and Firestore lacks 0"
    `);
  });

  test("a transaction does not look at createTime: a worker that wakes up writes to the successor", () => {
    expect(
      variant("createTime in apply only", {
        bounds: { deletions: 1, edits: 0 },
        rules: { createTime: "in apply" },
      }),
    ).toMatchInlineSnapshot(`
     "someone deletes the document
     someone creates the document anew
     a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     worker 1 runs its transaction (it is not the version it knew)
     => usage of a deleted document went into its successor"
    `);
  });

  test("edits that drop the marker: what was flushed before the reset is flushed again", () => {
    expect(variant("marker dropped", { environment: { markerInEdits: "dropped" } })).toMatchInlineSnapshot(`
     "a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     worker 1 writes blindly
     someone resets used to 0
     event of version 2 is delivered
     => effective used is 1, and Firestore will have 0"
    `);
  });

  test("clean entries that are evicted: a reader brings back what has changed since", () => {
    expect(
      variant("eviction", { bounds: { limits: [2], edits: 0 }, environment: { cleanEntries: "evicted" } }),
    ).toMatchInlineSnapshot(`
     "a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     worker 1 writes blindly
     event of version 1 is delivered
     the entry expires
     a reader applies version 0, read when it was current
     => effective used is 0 after 1 were accepted"
    `);
  });

  test("a failover that loses a begin: what was in flight is flushed again under another id", () => {
    expect(variant("failover", { environment: { failover: "loses begin" } })).toMatchInlineSnapshot(`
     "a reader applies version 0, read when it was current
     consume 1: accepted
     worker 1 begins flush 1 of 1
     Redis fails over and has not heard of flush 1
     worker 1 writes blindly
     => usage is counted twice: Redis holds 1, and Firestore lacks 0"
    `);
  });
});
