import { spawn } from "node:child_process";

/**
 * Runs a shell script once this process is gone, however it went: by itself, by a signal, even by SIGKILL, for which no
 * handler can be written. A waiting shell holds the other end of a pipe, which the system closes with this process.
 *
 * @example const cancel = whenGone('kill -KILL "$1"', [String(child.pid)]);
 */
export function whenGone(script, args) {
  const shell = spawn("sh", ["-c", `read -r _; ${script}`, "sh", ...args], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true, // not in the foreground group: Ctrl-C must not end the one that cleans up
  });
  shell.unref();
  shell.stdin.unref();
  return () => void shell.kill("SIGKILL");
}
