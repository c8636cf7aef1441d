import { AppUser } from "../app-user.ts";
import type { Report } from "../report.ts";
import { AI_CHAT, type Stack } from "../stack.ts";

const { limit, windowMs } = AI_CHAT.limits[0];
const MS_PER_REQUEST = windowMs / limit;
const REQUESTS = limit + 5;

/** Sends more requests at once than a policy allows. */
export async function hitRateLimit({ emulators }: Stack, report: Report): Promise<void> {
  report.note(
    `The policy ${AI_CHAT.name} allows each user ${limit} requests at once, and one more every ${MS_PER_REQUEST / 1_000} s.`,
  );
  const eager = await AppUser.signIn(emulators, "eager-user");
  const burst = Array.from({ length: REQUESTS }, () => eager.checkRateLimit({ policy: AI_CHAT.name }));
  const decisions = (await Promise.all(burst)).map(({ answer }) => answer);

  const allowed = decisions.filter((decision) => decision.allowed);
  const refused = decisions.filter((decision) => !decision.allowed);
  report.expect(`${REQUESTS} requests of one user at once`, {
    expected: `${limit} allowed, ${REQUESTS - limit} refused, by Redis`,
    measured: `${allowed.length} allowed, ${refused.length} refused`,
    holds: allowed.length === limit && decisions.every(({ source }) => source === "redis"),
  });

  const waits = refused.map(({ retryAfterMs }) => retryAfterMs);
  report.expect("time to retry, told to the refused", {
    expected: `above 0, at most ${MS_PER_REQUEST} ms`,
    measured: `${Math.min(...waits)} to ${Math.max(...waits)} ms`,
    holds: waits.length > 0 && waits.every((ms) => ms > 0 && ms <= MS_PER_REQUEST),
  });

  const other = await AppUser.signIn(emulators, "patient-user");
  const { answer } = await other.checkRateLimit({ policy: AI_CHAT.name });
  report.expect("another user meanwhile", {
    expected: `allowed, ${limit - 1} left`,
    measured: `${answer.allowed ? "allowed" : "refused"}, ${answer.remaining} left`,
    holds: answer.allowed && answer.remaining === limit - 1,
  });
}
