import { CallableError, callFunction } from "../../tests/harness/call-function.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";

interface BadCall {
  readonly what: string;
  readonly status: string;
  /** What the message begins with. */
  readonly words: string;
  call(): Promise<unknown>;
}

/** Makes calls that are to be refused, and shows in which words. */
export async function refuseBadInput(stack: Stack, report: Report): Promise<void> {
  for (const { what, status, words, call } of badCalls(stack)) {
    const outcome = await call().catch((error: unknown) => error);
    const refused = outcome instanceof CallableError ? outcome : undefined;
    const isAsExpected = refused?.status === status && refused.message.startsWith(words);
    const expected = `${status}: ${words} ...`;
    report.expect(what, {
      expected,
      measured: isAsExpected ? expected : refused ? `${refused.status}: ${refused.message}` : show(outcome),
      holds: isAsExpected,
    });
    if (isAsExpected) report.note(refused.message);
  }
}

function badCalls({ user, emulators }: Stack): BadCall[] {
  return [
    {
      what: "a policy that is not defined",
      status: "INVALID_ARGUMENT",
      words: "Expected `policy` to be the name of a policy",
      call: () => user.checkRateLimit({ policy: "ai-chatt" }),
    },
    {
      what: "a provider id with a slash",
      status: "INVALID_ARGUMENT",
      words: "Expected `providerId` to be a document id",
      call: () => user.checkQuota("providers/lawyer-001"),
    },
    {
      what: "a caller who has not signed in",
      status: "UNAUTHENTICATED",
      words: "Sign in",
      call: () => callFunction(emulators.functionUrl("checkQuota"), { providerId: "lawyer-001" }),
    },
  ];
}

function show(outcome: unknown): string {
  return outcome instanceof Error ? outcome.message : JSON.stringify(outcome);
}
