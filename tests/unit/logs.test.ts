import { createLogs } from "../../functions/src/observability/logs";

test("what happens at each request of an outage is logged at once, then every 10 s with how often it happened", () => {
  let now = 0;
  const written: unknown[] = [];
  const logs = createLogs(
    (entry) => void written.push(entry["occurrences"]),
    () => now,
  );
  const bypass = () => logs.quotaCacheBypassed("p1", new Error("down"));
  for (let i = 0; i < 50; i++) bypass();
  now = 9_999;
  bypass();
  expect(written).toEqual([1]);
  now = 10_000;
  bypass();
  expect(written).toEqual([1, 51]);
  logs.rateLimitFallback("ai-chat", "local", new Error("down"));
  expect(written).toEqual([1, 51, 1]);
});

test("what is left of one outage is not counted to the next", () => {
  let now = 0;
  const written: unknown[] = [];
  const logs = createLogs(
    (entry) => void written.push(entry["occurrences"]),
    () => now,
  );
  const bypass = () => logs.quotaCacheBypassed("p1", new Error("down"));
  for (let i = 0; i < 50; i++) bypass();
  now = 5_000;
  bypass();
  expect(written).toEqual([1]);
  // 10 s after the last one of before, this is another outage, and is told of at once.
  now = 15_000;
  bypass();
  expect(written).toEqual([1, 1]);
  bypass();
  now = 24_999;
  bypass();
  expect(written).toEqual([1, 1]);
  now = 25_000;
  bypass();
  expect(written).toEqual([1, 1, 3]);
});

test("a sink that throws fails nothing that logs", () => {
  let asked = 0;
  const logs = createLogs(() => {
    asked++;
    throw new Error("the disk is full");
  });
  expect(() => logs.quotaCacheBypassed("p1", new Error("down"))).not.toThrow();
  expect(() => logs.redisReachableAgain("127.0.0.1:6379")).not.toThrow();
  expect(asked).toBe(2);
});
