/**
 * Runs a shell script once this process is gone, however it went; returns a function that calls it off.
 *
 * @example const cancel = whenGone('kill -KILL "$1"', [String(child.pid)]);
 */
export function whenGone(script: string, args: string[]): () => void;
