import type { RedisServers } from "./redis-servers";
import { asNumber } from "./reply";

/**
 * Whether any of the keys exists.
 *
 * @param keys on a cluster, of any slots
 * @throws RedisUnavailableError
 */
export async function anyExists(
  redis: RedisServers,
  keys: readonly string[],
  startedMs?: number,
): Promise<boolean> {
  const commands = redis.isCluster ? keys.map((key) => [key]) : [keys];
  const found = await Promise.allSettled(
    commands.map((together) =>
      redis.runFor(together[0]!, (client) => client.exists(...together).then(asNumber), startedMs),
    ),
  );
  // On a cluster one that is found says more than a server without an answer.
  if (found.some((each) => each.status === "fulfilled" && each.value > 0)) return true;
  for (const each of found) if (each.status === "rejected") throw each.reason;
  return false;
}
