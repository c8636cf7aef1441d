import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { type FirestoreTarget, OFFICIAL_HOST, startTarget, uniqueId } from "./firestore-target.ts";

let target: FirestoreTarget;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target.stop());

const open = () => connectSocket(Number(target.address.split(":")[1]), "127.0.0.1");

test("one port answers HTTP and gRPC, and probes that it is up", async () => {
  const response = await fetch(`http://${target.address}/`);
  expect([response.status, (await response.text()).trim()]).toEqual([200, "Ok"]);
  expect((await target.db.doc(`${uniqueId()}/none`).get()).exists).toBe(false);
});

test("connections that break off or say nothing harm nobody", async () => {
  const [silent, half, broken] = [open(), open(), open()];
  await Promise.all([silent, half, broken].map((socket) => once(socket, "connect")));
  half.write("PR"); // the beginning of an HTTP/2 preface
  broken.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  broken.resetAndDestroy();
  half.end();
  expect((await fetch(`http://${target.address}/`)).ok).toBe(true);
  await target.db.doc(`${uniqueId()}/one`).set({});
  silent.destroy();
});

// Google's emulator leaves the connection open.
(OFFICIAL_HOST ? test.skip : test)("a request that arrives in pieces is understood", async () => {
  const socket = open();
  await once(socket, "connect");
  for (const piece of ["G", "ET / HT", "TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  expect(answer).toMatch(/^HTTP\/1.1 200 OK/);
});
