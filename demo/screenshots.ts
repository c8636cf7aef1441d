import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { startBrowser } from "../tests/harness/browser.ts";
import type { Report } from "./report.ts";
import { smallerPng } from "./smaller-png.ts";

const DESKTOP = { width: 1280, height: 1080 };
const PHONE = { width: 360, height: 1500 };
const READY_TIMEOUT_MS = 60_000;
/** The charts show two minutes: by then those of the steps are gone. */
const CALM_MS = 45_000;
const OUTAGE_MS = 20_000;
const DRAWN_MS = 1_500;

/** Uses the console as a person would for two minutes, and takes pictures of it. */
export async function takeScreenshots(url: string, dir: string, report: Report): Promise<void> {
  report.line(`\nTaking pictures of ${url}, which takes two minutes.`);
  await mkdir(dir, { recursive: true });
  const browser = await startBrowser();
  try {
    const page = await browser.newPage({ viewport: DESKTOP, colorScheme: "light" });
    await page.goto(url);
    await page.locator("#sync:enabled").waitFor({ timeout: READY_TIMEOUT_MS });
    await use(page);
    const take = async (name: string): Promise<void> => {
      await sleep(DRAWN_MS);
      const picture = await page.screenshot({ fullPage: name !== "phone" });
      await writeFile(join(dir, `console-${name}.png`), smallerPng(picture));
    };
    await take("light");
    await page.emulateMedia({ colorScheme: "dark" });
    await take("dark");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(PHONE);
    await page.locator("h1").scrollIntoViewIfNeeded();
    await take("phone");
  } finally {
    await browser.close();
  }
}

async function use(page: Page): Promise<void> {
  const callAi = async (providerId: string, times: number): Promise<void> => {
    for (let i = 0; i < times; i++) {
      await page.locator(`[data-provider="${providerId}"] button:enabled`, { hasText: "AI call" }).click();
    }
  };
  const sendTen = async (): Promise<void> => {
    await page.locator('[data-policy="ai-chat"] button').click();
    await page.locator('[data-policy="ai-chat"] button:enabled').waitFor();
  };
  const limit = page.locator('[data-provider="lawyer-008"] form');
  await callAi("lawyer-004", 2);
  await page.locator('[data-mode="redis-primary"]').click();
  await page.locator('[data-mode="redis-primary"]:enabled').waitFor();
  await callAi("helper-005", 2);
  await sendTen();
  await page.locator("#sync").click();
  await page.locator("#sync:enabled").waitFor();
  await sleep(CALM_MS);
  await limit.getByRole("spinbutton").fill("250");
  await limit.getByRole("button").click();
  await callAi("lawyer-015", 6);
  await callAi("lawyer-004", 9);
  await callAi("lawyer-001", 3);
  await page.locator("#redis-hang").click();
  await sleep(OUTAGE_MS);
  await page.locator("#redis-start").click();
  await page.locator("#redis-hang:enabled").waitFor();
  await sleep(CALM_MS);
  await sendTen();
  await callAi("lawyer-015", 1);
  await callAi("lawyer-007", 1);
  await page.mouse.move(0, 0);
}
