import { startFirebaseEmulators } from "../../emulator/start.ts";

test("an extension that cannot be loaded is reported in the CLI's words", async () => {
  const starting = startFirebaseEmulators({ redisPort: 6379, extensionPath: import.meta.dirname });
  await expect(starting).rejects.toThrow(/extension\.yaml/);
});
