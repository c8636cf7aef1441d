import { Batcher } from "../../functions/src/redis/batcher";
import { crc16, Keys, slotOf } from "../../functions/src/redis/keys";
import { redirectionOf, SlotMap } from "../../functions/src/redis/slot-map";

const reply = (message: string) => Object.assign(new Error(message), { name: "ReplyError" });

test("the slot of a key is that of its hash tag, as Redis Cluster's specification has it", () => {
  expect(slotOf("123456789")).toBe(0x31c3 % 16_384);
  expect(slotOf("{user1000}.following")).toBe(slotOf("user1000"));
  expect(slotOf("foo{}{bar}")).toBe(crc16("foo{}{bar}") % 16_384);
  expect(slotOf("foo{{bar}}zap")).toBe(slotOf("{bar"));
  expect(slotOf("foo{bar}{zap}")).toBe(slotOf("bar"));
  expect(slotOf("foo{bar")).not.toBe(slotOf("bar"));
});

test("keys of one bucket share a slot, and the sample's cursor is in one of its own", () => {
  const keys = new Keys("p");
  for (const id of ["a", "}{", "é", "x:y"]) {
    const slot = slotOf(keys.quota(id));
    expect(slotOf(keys.dirty(id))).toBe(slot);
    expect(slotOf(keys.call(id, "consume:k"))).toBe(slot);
    expect(slotOf(keys.session(id))).toBe(slot);
    const bucket = keys.bucketOf(id);
    for (const key of [keys.blocks(bucket, "policy"), ...keys.charges(bucket, "policy", "shape")])
      expect(slotOf(key)).toBe(slot);
    expect(keys.quota(id)).toContain(`{${bucket}}`);
  }
  expect(new Set(keys.allDirty().map(slotOf)).size).toBe(16);
});

test("a map is read from CLUSTER SLOTS; a server that leaves out its host is where it was asked", () => {
  const slots = SlotMap.parse(
    [
      [0, 99, ["10.0.0.2", 6379, "id", []], ["10.0.0.9", 6379, "replica", []]],
      [100, 199, [null, 6380, "id", []]],
      [200, 200, ["", 6381, "id", []]],
      [302, 302, ["?", 6382, "id", []]],
      [201, 300, ["2001:db8::1", 6379, "id", []]],
    ],
    "redis.example:7000",
  );
  expect(slots.addressOf(99)).toBe("10.0.0.2:6379");
  expect(slots.addressOf(100)).toBe("redis.example:6380");
  expect(slots.addressOf(200)).toBe("redis.example:6381");
  expect(slots.addressOf(300)).toBe("2001:db8::1:6379");
  expect(slots.addressOf(301)).toBeUndefined();
  slots.move(99, "10.0.0.3:6379");
  expect(slots.addresses()).toEqual([
    "10.0.0.2:6379",
    "10.0.0.3:6379",
    "2001:db8::1:6379",
    "redis.example:6380",
    "redis.example:6381",
    "redis.example:6382",
  ]);
  expect(SlotMap.parse([], "x:1").isEmpty).toBe(true);
});

test("redirections are told from other errors", () => {
  expect(redirectionOf(reply("MOVED 3999 ?:6381"), "h:1")).toEqual({ kind: "moved", address: "h:6381" });
  expect(redirectionOf(reply("MOVED 3999 10.0.0.2:6381"), "h:1")).toEqual({
    kind: "moved",
    address: "10.0.0.2:6381",
  });
  expect(redirectionOf(reply("MOVED 3999 10.0.0.2:6381 (REDIS_TOPOLOGY)"), "h:1")).toMatchObject({
    address: "10.0.0.2:6381",
  });
  expect(redirectionOf(reply("ASK 3999 :6381"), "h:1")).toEqual({ kind: "ask", address: "h:6381" });
  expect(redirectionOf(reply("TRYAGAIN Multiple keys request"), "h:1")).toEqual({ kind: "try-again" });
  for (const message of ["CLUSTERDOWN The cluster is down", "MOVED", "OOM command not allowed"])
    expect(redirectionOf(reply(message), "h:1")).toBeUndefined();
  expect(redirectionOf(new Error("MOVED 1 h:2"), "h:1")).toBeUndefined();
});

test("a gathering is split by partition, each in its order, and what fails fails alone", async () => {
  const sent: number[][] = [];
  const batcher = new Batcher<number, number>(
    async (questions) => {
      sent.push([...questions]);
      if (questions[0]! % 3 === 1) throw new Error("down");
      return questions.map((question) => 10 * question);
    },
    64,
    (question) => question % 3,
  );
  const answers = await Promise.allSettled([0, 1, 2, 3, 4, 5].map((question) => batcher.ask(question)));
  expect(sent).toEqual(
    expect.arrayContaining([
      [1, 4],
      [2, 5],
    ]),
  );
  expect(answers.map((each) => (each.status === "fulfilled" ? each.value : each.reason.message))).toEqual([
    0,
    "down",
    20,
    30,
    "down",
    50,
  ]);
});
