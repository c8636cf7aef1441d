import { waitFor } from "../harness/wait-for.ts";

test("returns the first value that is neither false nor undefined", async () => {
  const values = [undefined, false as const, 0];
  expect(await waitFor(() => values.shift(), { what: "a value" })).toBe(0);
});

test("says what it waited for, and why the predicate failed last", async () => {
  const refusal = new Error("refused");
  const waiting = waitFor(() => Promise.reject(refusal), { timeoutMs: 30, what: "the server" });
  await expect(waiting).rejects.toMatchObject({
    message: "Waited 30 ms in vain for the server.",
    cause: refusal,
  });
});
