import fc from "fast-check";
import type { Write } from "../../emulator/firestore/protocol.ts";
import { SortedList } from "../../emulator/firestore/sorted-list.ts";
import { Database } from "../../emulator/firestore/store.ts";

const NAME = "projects/p/databases/d";

function write(path: string, n: number): Write {
  const fields = { n: { valueType: "integerValue" as const, integerValue: String(n) } };
  return { operation: "update", update: { name: `${NAME}/documents/${path}`, fields }, updateTransforms: [] };
}

function remove(path: string): Write {
  return { operation: "delete", delete: `${NAME}/documents/${path}`, updateTransforms: [] };
}

test("a sorted list is one, whatever is inserted and deleted", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 3_000 })), { maxLength: 4_000, size: "max" }),
      fc.integer({ min: -1, max: 3_001 }),
      (operations, from) => {
        const list = new SortedList<number, number>(
          (item) => item,
          (left, right) => left - right,
        );
        const expected = new Set<number>();
        for (const [isInsertion, item] of operations) {
          if (!isInsertion) {
            list.delete(item);
            expected.delete(item);
          } else if (!expected.has(item)) {
            list.insert(item);
            expected.add(item);
          }
        }
        const sorted = [...expected].sort((left, right) => left - right);
        expect([...list.ascending()]).toEqual(sorted);
        expect([...list.descending()]).toEqual([...sorted].reverse());
        expect([...list.ascending(from)]).toEqual(sorted.filter((item) => item >= from));
        expect([...list.descending(from)]).toEqual(sorted.filter((item) => item <= from).reverse());
        expect(list.isEmpty).toBe(sorted.length === 0);
      },
    ),
    { numRuns: 60 },
  );
});

test("the past is kept as far as the history goes, and no further", () => {
  const database = new Database(NAME, { historyCapacity: 10 });
  const times = Array.from({ length: 25 }, (_none, i) => database.commit([write("c/a", i)]).commitTime);
  for (const [i, time] of times.entries()) {
    if (i < 14) {
      expect(() => database.checkReadTime(time)).toThrow("too old");
    } else {
      database.checkReadTime(time);
      expect(database.get("c/a", time)?.fields).toEqual({
        n: { valueType: "integerValue", integerValue: String(i) },
      });
    }
  }
});

test("what is deleted leaves nothing behind once the history has forgotten it", () => {
  const database = new Database(NAME, { historyCapacity: 10 });
  for (let i = 0; i < 100; i++) {
    database.commit([write(`c/d${i}/sub/x`, i)]);
    database.commit([remove(`c/d${i}/sub/x`)]);
  }
  expect([...database.tree.descendants(database.tree.root)].length).toBeLessThanOrEqual(20);
  for (let i = 0; i < 10; i++) database.commit([write("other/one", i)]);
  expect([...database.tree.descendants(database.tree.root)].map(({ path }) => path)).toEqual(["other/one"]);
});
