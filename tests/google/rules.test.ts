import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { googleAddress } from "../harness/google-firestore.ts";

const RULES = readFileSync(join(import.meta.dirname, "../../examples/firestore.rules"), "utf8");

const project = `demo-${randomUUID()}`;
const documents = `projects/${project}/databases/(default)/documents`;

beforeAll(async () => {
  const answer = await fetch(`http://${googleAddress()}/emulator/v1/projects/${project}:securityRules`, {
    method: "PUT",
    body: JSON.stringify({ rules: { files: [{ name: "firestore.rules", content: RULES }] } }),
  });
  expect([answer.status, await answer.json()]).toEqual([200, {}]);
});

/** An unsigned ID token, which the emulator believes. */
function tokenOf(uid: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ sub: uid, user_id: uid, firebase: {} })}.`;
}

/** The token for which rules do not count, as they do not for the Admin SDK. */
const ADMIN = "owner";

/** The status of a request: 200, 403 if the rules deny it, or another if it fails by itself. */
async function ask(token: string | undefined, method: string, path: string, body?: object): Promise<number> {
  const answer = await fetch(`http://${googleAddress()}/v1/${documents}${path}`, {
    method,
    headers: token ? { authorization: `Bearer ${token}` } : {},
    ...(body && { body: JSON.stringify(body) }),
  });
  await answer.text();
  return answer.status;
}

const get = (token: string | undefined, path: string) => ask(token, "GET", `/${path}`);
const remove = (token: string | undefined, path: string) => ask(token, "DELETE", `/${path}`);
const commit = (token: string | undefined, ...writes: object[]) => ask(token, "POST", ":commit", { writes });
const query = (token: string | undefined, structuredQuery: object, parent = "") =>
  ask(token, "POST", `${parent}:runQuery`, { structuredQuery });

const number = (value: number) => ({ integerValue: String(value) });
const write = (path: string, fields: object, fieldPaths?: string[]) => ({
  update: { name: `${documents}/${path}`, fields },
  ...(fieldPaths && { updateMask: { fieldPaths } }),
});
const transform = (path: string, fieldPath: string, what: object) => ({
  transform: { document: `${documents}/${path}`, fieldTransforms: [{ fieldPath, ...what }] },
});

const GUARDED = ["aiCallsUsed", "aiCallsLimit", "_quotaSync"];
const STORED = {
  name: { stringValue: "Ada" },
  aiCallsUsed: number(3),
  aiCallsLimit: number(10),
  _quotaSync: { mapValue: { fields: { f: { stringValue: "flush" } } } },
};

/** A provider that has a document, with the token of its owner. */
async function provider(fields: object = STORED): Promise<{ id: string; path: string; token: string }> {
  const id = `p-${randomUUID()}`;
  const path = `providers/${id}`;
  expect(await commit(ADMIN, write(path, fields))).toBe(200);
  return { id, path, token: tokenOf(id) };
}

describe("a provider's document", () => {
  test("is read by its owner alone", async () => {
    const { path, token } = await provider();
    expect(await get(token, path)).toBe(200);
    expect(await get(tokenOf("someone-else"), path)).toBe(403);
    expect(await get(undefined, path)).toBe(403);
    expect(await get(ADMIN, path)).toBe(200);
  });

  test("is in no list or query, not even the owner's own", async () => {
    const { path, token } = await provider();
    const name = { referenceValue: `${documents}/${path}` };
    const own = { fieldFilter: { field: { fieldPath: "__name__" }, op: "EQUAL", value: name } };
    for (const asker of [token, undefined]) {
      expect(await get(asker, "providers")).toBe(403);
      expect(await query(asker, { from: [{ collectionId: "providers" }] })).toBe(403);
      expect(await query(asker, { from: [{ collectionId: "providers" }], where: own })).toBe(403);
      expect(await query(asker, { from: [{ collectionId: "providers", allDescendants: true }] })).toBe(403);
    }
  });

  test("is created by its owner alone, without what the functions decide on", async () => {
    const create = (id: string, token: string | undefined, fields: object) =>
      commit(token, write(`providers/${id}`, fields));
    const owner = () => `p-${randomUUID()}`;
    const id = owner();
    expect(await create(id, undefined, { name: { stringValue: "x" } })).toBe(403);
    expect(await create(id, tokenOf("someone-else"), { name: { stringValue: "x" } })).toBe(403);
    expect(await create(id, tokenOf(id), { name: { stringValue: "x" } })).toBe(200);
    for (const field of GUARDED) {
      for (const value of [number(0), { nullValue: null }, { mapValue: { fields: {} } }]) {
        const other = owner();
        expect(await create(other, tokenOf(other), { [field]: value })).toBe(403);
        expect(await get(ADMIN, `providers/${other}`)).toBe(404);
      }
      const other = owner();
      const path = `providers/${other}`;
      expect(await commit(tokenOf(other), transform(path, field, { increment: number(1) }))).toBe(403);
    }
  });

  test("takes its owner's other fields, and nobody else's", async () => {
    const { path, token } = await provider();
    const rename = write(path, { name: { stringValue: "Grace" } }, ["name"]);
    expect(await commit(undefined, rename)).toBe(403);
    expect(await commit(tokenOf("someone-else"), rename)).toBe(403);
    expect(await commit(token, rename)).toBe(200);
    expect(await commit(token, write(path, {}, ["name"]))).toBe(200);
    // What is written as it was has not been changed.
    expect(await commit(token, write(path, { ...STORED, name: { stringValue: "Lin" } }))).toBe(200);
  });

  test.each(GUARDED)("keeps %s as it is", async (field) => {
    const { path, token } = await provider();
    for (const change of [
      write(path, { [field]: number(0) }, [field]),
      write(path, { [field]: { nullValue: null } }, [field]),
      write(path, {}, [field]), // deletes it
      write(path, { name: { stringValue: "set without merge" } }),
      transform(path, field, { increment: number(-3) }),
      transform(path, field, { setToServerValue: "REQUEST_TIME" }),
      transform(path, field, { removeAllFromArray: { values: [] } }),
    ]) {
      expect(await commit(token, change)).toBe(403);
    }
    const nested = { [field]: { mapValue: { fields: { x: number(1) } } } };
    expect(await commit(token, write(path, nested, [`${field}.x`]))).toBe(403);
    // Not in company of what is allowed either, in one write or in one commit.
    expect(await commit(token, write(path, { name: number(1), [field]: number(0) }, ["name", field]))).toBe(
      403,
    );
    const allowed = write(path, { name: number(1) }, ["name"]);
    expect(await commit(token, allowed, write(path, { [field]: number(0) }, [field]))).toBe(403);
    expect(await commit(token, allowed)).toBe(200);
  });

  test.each(GUARDED)("gets no %s where it had none", async (field) => {
    const { path, token } = await provider({ name: { stringValue: "new" } });
    expect(await commit(token, write(path, { [field]: number(1) }, [field]))).toBe(403);
    expect(await commit(token, transform(path, field, { increment: number(1) }))).toBe(403);
  });

  test("is deleted by nobody, and so does not begin at 0 again", async () => {
    const { path, token } = await provider();
    const deletion = { delete: `${documents}/${path}` };
    expect(await remove(token, path)).toBe(403);
    expect(await remove(undefined, path)).toBe(403);
    expect(await commit(token, deletion)).toBe(403);
    expect(await commit(token, deletion, write(path, { name: { stringValue: "again" } }))).toBe(403);
    expect(await get(token, path)).toBe(200);
  });
});

describe("what only the functions read and write", () => {
  test.each([
    ["a call of a provider", (id: string) => `providers/${id}/quotaCalls/call`],
    ["a session", () => `redisQuotaSessions/${randomUUID()}`],
    ["a policy", () => `rateLimitPolicies/${randomUUID()}`],
    ["anything else", () => `other/${randomUUID()}`],
    ["anything else below a provider", (id: string) => `providers/${id}/other/x`],
    ["anything below a session", () => `redisQuotaSessions/s/deep/${randomUUID()}`],
  ])("%s is not for clients", async (_what, pathOf) => {
    const { id, token } = await provider();
    const path = pathOf(id);
    const collection = path.slice(0, path.lastIndexOf("/"));
    const collectionId = collection.slice(collection.lastIndexOf("/") + 1);
    for (const asker of [token, tokenOf("someone-else"), undefined]) {
      expect(await commit(asker, write(path, { uid: { stringValue: id } }))).toBe(403);
      expect(await get(asker, path)).toBe(403); // not even that there is none
    }
    expect(await commit(ADMIN, write(path, { uid: { stringValue: id } }))).toBe(200);
    for (const asker of [token, tokenOf("someone-else"), undefined]) {
      expect(await get(asker, path)).toBe(403);
      expect(await get(asker, collection)).toBe(403);
      expect(await query(asker, { from: [{ collectionId, allDescendants: true }] })).toBe(403);
      expect(await commit(asker, write(path, { uid: { stringValue: "x" } }, ["uid"]))).toBe(403);
      expect(await remove(asker, path)).toBe(403);
    }
    expect(await get(ADMIN, path)).toBe(200);
  });
});
