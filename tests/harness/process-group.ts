import { readdirSync, readFileSync } from "node:fs";

/** On Linux, the processes of a group, without those that have ended and wait for their parent to notice. */
export function processesOfGroup(groupId: number): string[] {
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
