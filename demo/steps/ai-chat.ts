import { AppUser } from "../app-user.ts";
import type { Report } from "../report.ts";
import type { Stack } from "../stack.ts";

const PROVIDER = "chatty-provider";
const PROVIDER_BEFORE = "chatty-provider-before";
const LIMIT = 100;
const CALLS = 5;

/** Calls the app's own functions: the one of before, and the one that asks in process, with Redis up and down. */
export async function chat({ emulators, providers, redisServer }: Stack, report: Report): Promise<void> {
  report.note("examples/ai-chat runs beside the extension, and asks quotas and rate limits in process.");
  await providers.doc(PROVIDER).set({ aiCallsUsed: 0, aiCallsLimit: LIMIT });
  const user = await AppUser.signIn(emulators, "chatting-user");
  await chatBefore(user, providers, report);
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

async function chatBefore(user: AppUser, providers: Stack["providers"], report: Report): Promise<void> {
  await providers.doc(PROVIDER_BEFORE).set({ aiCallsUsed: 0, aiCallsLimit: LIMIT });
  const { answer } = await user.chat(PROVIDER_BEFORE, "aiChatBefore");
  const used = (await providers.doc(PROVIDER_BEFORE).get()).get("aiCallsUsed") as unknown;
  report.expect("aiChatBefore, as in the guide without Redis", {
    expected: "checked by firestore, 1 counted there",
    measured: `checked by ${answer.source}, ${String(used)} counted there`,
    holds: answer.source === "firestore" && used === 1,
  });
}
