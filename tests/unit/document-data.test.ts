import { dataOf } from "../../functions/src/firestore";

test("a document's data is copied only to replace bigints", () => {
  const data = { used: 1, tags: ["a", { b: null }] };
  expect(dataOf({ data: () => data })).toBe(data);
  expect(dataOf({ data: () => undefined })).toBeUndefined();
  const large = 2n ** 60n;
  expect(dataOf({ data: () => ({ used: 1n, tags: [{ large }] }) })).toEqual({ used: 1, tags: [{ large }] });
});
