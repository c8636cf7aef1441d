import type { Command } from "commander";

import { parseProviderId } from "../quota/quota";
import { NO_DOCUMENT, NOT_KNOWN } from "../quota/stored-quota";
import type { Cli } from "./cli";
import { table } from "./table";
import { UsageError } from "./usage-error";

/** `inspect`: one provider as both stores hold it. */
export function addInspect(program: Command, cli: Cli): void {
  const command = program
    .command("inspect")
    .argument("<providerId>", "id of the provider's document")
    .description("Show a provider's entry in Redis beside its document: one billed read.")
    .addHelpText("after", "\nExample:\n  npx firestore-redis-quota inspect provider-1")
    .action(async (providerId: string) => {
      try {
        parseProviderId(providerId);
      } catch (error) {
        throw new UsageError((error as Error).message);
      }
      const { redis, firestore } = await cli.services(command).quotaInspector.inspect(providerId);
      const invalid = "problem" in firestore;
      cli.failed = invalid;
      cli.print(command, { providerId, redis: redis ?? null, firestore }, () => {
        const document = invalid ? undefined : firestore;
        const rows = [
          ["", "Redis", "Firestore"],
          [
            "state",
            redis ? stateOf(redis.limit) : "no entry",
            documentState(document?.quota !== undefined, invalid),
          ],
          ["used", text(redis?.used), text(document?.quota?.used)],
          ["limit", text(redis && redis.limit >= 0 ? redis.limit : undefined), text(document?.quota?.limit)],
          ["pending", text(redis?.pending), ""],
          ["in flight", text(redis?.inFlight), ""],
          ["version", at(redis?.version), at(document?.quota && document.version)],
          ["flush", text(redis?.flushId), text(document?.marker)],
          [
            "expires in",
            redis ? (redis.ttlMs === undefined ? "never" : `${Math.round(redis.ttlMs / 1000)} s`) : "-",
            "",
          ],
          [
            "unsynced since",
            redis?.dirtySinceMs === undefined ? "-" : new Date(redis.dirtySinceMs).toISOString(),
            "",
          ],
        ];
        return invalid ? `${table(rows)}\nThe document: ${firestore.problem}` : table(rows);
      });
    });
}

function stateOf(limit: number): string {
  if (limit === NO_DOCUMENT) return "no document";
  return limit === NOT_KNOWN ? "invalidated" : "quota";
}

function documentState(found: boolean, invalid: boolean): string {
  if (invalid) return "invalid";
  return found ? "quota" : "no document";
}

function text(value: number | undefined): string {
  return value === undefined ? "-" : String(value);
}

function at(version: number | undefined): string {
  return version === undefined ? "-" : `${version} (${new Date(version / 1000).toISOString()})`;
}
