import { AppUser } from "../app-user.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";

const PROVIDER = "chatty-provider";
const LIMIT = 100;
const CALLS = 5;

/** Calls the app's own function, which asks quotas and rate limits in process, with Redis up and down. */
export async function chat({ emulators, providers, redisServer }: Stack, report: Report): Promise<void> {
  report.note("examples/ai-chat runs beside the extension, and asks quotas and rate limits in process.");
  await providers.doc(PROVIDER).set({ aiCallsUsed: 0, aiCallsLimit: LIMIT });
  const user = await AppUser.signIn(emulators, "chatting-user");
  await user.chat(PROVIDER); // starts its process
  const sources = new Set<string>();
  for (let i = 0; i < CALLS; i++) sources.add((await user.chat(PROVIDER)).answer.source);
  report.expect("aiChat with Redis up", {
    expected: "checked by redis",
    measured: `checked by ${[...sources].join(", ")}`,
    holds: [...sources].join() === "redis",
  });

  await redisServer.kill("SIGKILL");
  try {
    const { answer } = await user.chat(PROVIDER);
    const left = LIMIT - CALLS - 2;
    report.expect("aiChat with Redis down", {
      expected: `answered, checked by firestore, ${left} left`,
      measured: `answered, checked by ${answer.source}, ${answer.remaining} left`,
      holds: answer.source === "firestore" && answer.remaining === left,
    });
  } finally {
    await redisServer.restart();
  }
}
