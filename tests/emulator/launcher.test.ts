import { existsSync, readdirSync, readFileSync } from "node:fs";
import { startFirebaseEmulators } from "../../emulator/start.ts";
import { testEmulators } from "../harness/test-emulators.ts";

/** The processes of a group, without those that have ended and wait for their parent to notice. */
function processesOfGroup(groupId: number): string[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/stat`, "utf8")];
      } catch {
        return []; // has ended since
      }
    })
    .filter((stat) => {
      const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(group) === groupId && state !== "Z";
    });
}

const onLinux = existsSync("/proc/self/stat") ? test : test.skip;

onLinux(
  "a second set of emulators runs beside the first, and leaves no process behind",
  async () => {
    const { redisPort } = testEmulators();
    const emulators = await startFirebaseEmulators({ redisPort });
    expect(processesOfGroup(emulators.pid).length).toBeGreaterThan(1);
    await emulators.stop();
    expect(processesOfGroup(emulators.pid)).toEqual([]);
  },
  300_000,
);

test("an extension that cannot be loaded is reported in the CLI's words", async () => {
  const starting = startFirebaseEmulators({ redisPort: 6379, extensionPath: import.meta.dirname });
  await expect(starting).rejects.toThrow(/extension\.yaml/);
});
