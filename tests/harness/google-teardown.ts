import { stopStarted } from "./started.ts";

export default async function tearDown(): Promise<void> {
  await stopStarted("google");
}
