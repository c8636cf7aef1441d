/**
 * Does it keep answering, rightly and in time, whatever befalls Redis, Firestore, the network and the clocks; and is
 * every accepted call counted once in the end?
 *
 *   npm run test:faults [-- --only <text>] [-- --write]
 *
 * Each scenario has servers of its own, 32 callers in front of two instances of the built package, and one fault.
 * `ledger.ts` says which answers are wrong. `--only` plays the scenarios whose name or mode contains the text; `--write`
 * puts the table into docs/reliability.md. Exit code 1 if anything did not hold.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { describeMachine } from "../../bench/lib/machine.ts";
import { clockScenarios } from "./clocks.ts";
import { firestoreScenarios } from "./firestore-outage.ts";
import { healthyScenario, networkScenarios, slowNetworkScenario } from "./network.ts";
import { redisMemoryScenarios } from "./redis-memory.ts";
import { redisProcessScenarios } from "./redis-process.ts";
import { toTable, writeFigures } from "./reliability-table.ts";
import { play, type Result } from "./scenario.ts";
import { stopShared } from "./stage.ts";
import { syncWorkerScenarios } from "./sync-worker.ts";

const RESULTS = join(import.meta.dirname, "../../.tmp/faults-results.json");

const { values: options } = parseArgs({
  options: { only: { type: "string", default: "" }, write: { type: "boolean", default: false } },
});
const scenarios = [
  healthyScenario,
  slowNetworkScenario,
  ...networkScenarios,
  ...redisProcessScenarios,
  ...redisMemoryScenarios,
  ...firestoreScenarios,
  ...syncWorkerScenarios,
  ...clockScenarios,
].filter(({ name, mode }) => `${name} ${mode}`.includes(options.only));
if (scenarios.length === 0) throw new Error(`No scenario contains ${JSON.stringify(options.only)}.`);

const machine = describeMachine();
console.log(machine);
const results: Result[] = [];
const failed: string[] = [];
const startMs = performance.now();
for (const scenario of scenarios) {
  const name = `${scenario.name} (${scenario.mode})`;
  const begunMs = performance.now();
  try {
    const result = await play(scenario);
    results.push(result);
    const tookMs = Math.round(performance.now() - begunMs);
    console.log(`${result.problems.length === 0 ? "✓" : "✗"} ${name} ${tookMs} ms`);
    for (const problem of result.problems) console.log(`    ${problem}`);
    if (result.problems.length > 0) failed.push(name);
  } catch (error) {
    console.log(`✗ ${name}\n    ${(error as Error).stack}`);
    failed.push(name);
  }
}
stopShared();

const table = toTable(results);
const passed = scenarios.length - failed.length;
console.log(`\n${table}\n`);
console.log(
  `${passed} passed, ${failed.length} failed in ${Math.round((performance.now() - startMs) / 1000)} s`,
);
mkdirSync(join(RESULTS, ".."), { recursive: true });
writeFileSync(RESULTS, JSON.stringify({ passed, failed: failed.length }));
if (options.write && failed.length === 0) writeFigures(`${machine}\n\n${table}`);
process.exit(failed.length === 0 ? 0 : 1);
