import { randomUUID } from "node:crypto";

import {
  InvalidSessionDataError,
  InvalidSessionIdError,
  InvalidSessionTtlError,
  SessionDestroyedError,
  SessionTooLargeError,
  type SessionClient,
} from "../../functions/src/lib";
import type { SessionMode } from "../../functions/src/session/session-service";

/** A client of a mode; `passMs` lets time go by. */
export interface SessionClientUnderTest {
  readonly sessions: SessionClient;
  readonly mode: SessionMode;
  readonly passMs: (ms: number) => Promise<void>;
}

/** What every client of sessions does, whatever it keeps them in. */
export const SESSION_CLIENT_CASES: readonly {
  readonly name: string;
  readonly run: (client: SessionClientUnderTest) => Promise<void>;
}[] = [
  {
    name: "finds what was set last, as it was then",
    async run({ sessions, mode }) {
      const source = mode === "firestore" ? "firestore" : "redis";
      const id = randomUUID();
      expect(await sessions.get(id)).toBeUndefined();
      const data = { uid: "ada", cart: [{ item: "tea", count: 2 }], note: null };
      await sessions.set(id, data);
      data.cart[0]!.count = 3;
      expect(await sessions.get(id)).toEqual({
        data: { ...data, cart: [{ item: "tea", count: 2 }] },
        source,
      });
      await sessions.set(id, { uid: "ada" });
      expect((await sessions.get(id))?.data).toEqual({ uid: "ada" });
    },
  },
  {
    name: "ends a session when its life is over, and a touch prolongs it but never shortens it",
    async run({ sessions, passMs }) {
      const [short, touched, long] = [randomUUID(), randomUUID(), randomUUID()];
      await sessions.set(short, { n: 1 }, { ttlSeconds: 1 });
      await sessions.set(touched, { n: 2 }, { ttlSeconds: 1 });
      await sessions.set(long, { n: 3 }, { ttlSeconds: 60 });
      expect(await sessions.touch(touched, { ttlSeconds: 60 })).toBe(true);
      expect(await sessions.touch(long, { ttlSeconds: 1 })).toBe(true);
      await passMs(1200);
      expect(await sessions.get(short)).toBeUndefined();
      expect(await sessions.touch(short)).toBe(false);
      expect((await sessions.get(touched))?.data).toEqual({ n: 2 });
      expect((await sessions.get(long))?.data).toEqual({ n: 3 });
      await sessions.set(short, { n: 4 });
      expect((await sessions.get(short))?.data).toEqual({ n: 4 });
    },
  },
  {
    name: "destroys a session for good",
    async run({ sessions }) {
      const id = randomUUID();
      await sessions.set(id, { n: 1 });
      await sessions.destroy(id);
      expect(await sessions.get(id)).toBeUndefined();
      expect(await sessions.touch(id)).toBe(false);
      await expect(sessions.set(id, { n: 2 })).rejects.toThrow(SessionDestroyedError);
      await sessions.destroy(id);
      expect(await sessions.get(id)).toBeUndefined();
    },
  },
  {
    name: "names what is wrong with a call",
    async run({ sessions }) {
      await expect(sessions.get("a/b")).rejects.toThrow(InvalidSessionIdError);
      await expect(sessions.destroy("")).rejects.toThrow(InvalidSessionIdError);
      await expect(sessions.set("id", { at: new Date() as never })).rejects.toThrow(InvalidSessionDataError);
      await expect(sessions.set("id", { text: "x".repeat(70_000) })).rejects.toThrow(SessionTooLargeError);
      await expect(sessions.set("id", {}, { ttlSeconds: 0 })).rejects.toThrow(InvalidSessionTtlError);
      await expect(sessions.touch("id", { ttlSeconds: 1.5 })).rejects.toThrow(InvalidSessionTtlError);
    },
  },
];
