import { request } from "node:http";
import type { Browser } from "playwright-core";
import { ConsolePage } from "./console-page.ts";
import { startBrowser } from "../harness/browser.ts";
import { DemoProcess } from "../harness/demo-process.ts";
import { waitFor } from "../harness/wait-for.ts";

jest.setTimeout(120_000); // on a busy machine the emulator takes many seconds to start a function

let demo: DemoProcess;
let browser: Browser;
let console: ConsolePage;

beforeAll(async () => {
  [demo, browser] = await Promise.all([DemoProcess.start(), startBrowser()]);
  console = await ConsolePage.open(browser, demo.url);
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await demo?.stop();
}, 60_000);

/** Waits until a text of the page is as expected. */
async function untilText(read: () => Promise<string>, expected: RegExp | string): Promise<string> {
  let last = "";
  return waitFor(
    async () => {
      last = await read();
      return (typeof expected === "string" ? last === expected : expected.test(last)) && last;
    },
    { what: `the text ${expected}`, timeoutMs: 40_000 },
  ).catch((error: Error) => {
    throw new Error(`${error.message} It was: ${last}`);
  });
}

const bar = (id: string, expected: RegExp | string) => untilText(() => console.bar(id), expected);
const legend = (chart: string, series: string, expected: RegExp | string) =>
  untilText(() => console.legend(chart, series), expected);

test("the page shows the load: all checks answered by Redis, in the legends and in the charts", async () => {
  expect(await console.text("#link")).toBe("Live");
  await legend("#chart-calls", "Redis", /^\d\d+$/);
  expect(await console.legend("#chart-calls", "No answer")).toBe("0");
  await legend("#chart-latency", "Redis", /^[\d.]+ ms$/);
  // Those of the seeding, when Redis was written to.
  expect(await console.legend("#chart-lag", "Longest")).toMatch(/ m?s$/);
  await waitFor(async () => (await console.pixels("#chart-calls", "redis")) > 50, {
    what: "the line of Redis",
  });
  expect(await console.pixels("#chart-lag", "accent")).toBeGreaterThan(10);
});

test("an AI call goes through the callable, and the provider's bar grows", async () => {
  expect(await console.bar("lawyer-015")).toBe("14 of 50");
  const before = await console.filledShare("lawyer-015");
  expect(await console.call("lawyer-015")).toMatch(/^Allowed, 15 of 50 used\. By Firestore, .* m?s$/);
  await bar("lawyer-015", "15 of 50");
  await waitFor(async () => (await console.filledShare("lawyer-015")) > before, { what: "a wider bar" });
  expect(await console.text("#journal li:first-child")).toContain("Amélie Bernard: Allowed, 15 of 50 used");
});

test("with the keyboard alone one comes to the providers and makes an AI call", async () => {
  await console.reload();
  const { keyboard } = console.page;
  await keyboard.press("Tab");
  await untilText(() => console.text(":focus"), "Skip to the providers");
  await keyboard.press("Enter");
  for (let presses = 0; presses < 20; presses++) {
    await keyboard.press("Tab");
    if ((await console.page.locator(":focus").getAttribute("aria-label")) === "AI call of Camille Bernard")
      break;
  }
  const outline = await console.page
    .locator(":focus")
    .evaluate((element) => getComputedStyle(element).outlineWidth);
  expect(outline).toBe("2px");
  await keyboard.press("Enter");
  await bar("lawyer-004", "62 of 200");
  await untilText(
    () => console.page.locator(":focus").getAttribute("aria-label").then(String),
    "AI call of Camille Bernard",
  );
});

test("at the limit a call is refused; a higher limit, written to Firestore, arrives and lets it pass", async () => {
  expect(await console.call("lawyer-007")).toMatch(/^Refused: the limit is reached, 100 of 100 used/);
  expect(await console.bar("lawyer-007")).toBe("100 of 100 · limit reached");
  expect(await console.setLimit("lawyer-007", "150")).toMatch(
    /^Limit 150 is in Firestore, and in Redis [\d.]+ m?s after/,
  );
  await bar("lawyer-007", "100 of 150");
  expect(await console.call("lawyer-007")).toMatch(/^Allowed, 101 of 150 used/);
  await legend("#chart-lag", "Median", /ms$/);
});

test("a limit that cannot be is refused in words, and written nowhere", async () => {
  expect(await console.setLimit("lawyer-008", "-5")).toBe("A limit is a whole number from 0 to 1,000,000.");
  expect(await console.page.locator('[data-provider="lawyer-008"] input').getAttribute("aria-invalid")).toBe(
    "true",
  );
  expect(await console.bar("lawyer-008")).toBe("154 of 200");
  expect(await console.setLimit("lawyer-008", "200")).toBe("The limit is 200 already.");
});

test("a policy allows its burst, refuses the rest and says when to try again", async () => {
  const result = () => console.text('[data-policy="ai-chat"] .ask p');
  // Starts the processes: the first call of one, on a busy machine, may be too late for Redis.
  await console.press("Send 10 requests under search");
  await untilText(() => console.text('[data-policy="search"] .ask p'), /^10 allowed, 0 refused by redis/);
  await console.press("Send 10 requests under ai-chat");
  await untilText(result, "10 allowed, 0 refused by redis");
  await console.press("Send 10 requests under ai-chat");
  await untilText(result, /^[01] allowed, (9|10) refused by redis; again in \d+\.\d s$/);
  await legend('[data-policy="search"]', "Allowed, Redis", /^[1-9]/);
  expect(await console.pixels('[data-policy="search"]', "redis")).toBeGreaterThan(50);
});

test("in redis-primary Redis decides; the usage waits there until a sync brings it to Firestore", async () => {
  await console.press("redis-primary");
  await untilText(
    () => console.text("#journal li:first-child"),
    /Mode redis-primary: the functions answer from it/,
  );
  expect(await console.call("lawyer-015")).toMatch(/^Allowed, 16 of 50 used\. By Redis/);
  await bar("lawyer-015", "16 of 50 · 1 only in Redis");
  await untilText(() => console.text("#sync-pending"), "1 provider");
  expect(await console.text("#sync-oldest")).toMatch(/ m?s$/);

  await console.press("Sync now");
  await untilText(() => console.text("#sync-last"), /^\d\d:\d\d:\d\d, 1 provider$/);
  await untilText(() => console.text("#sync-pending"), "0 providers");
  await bar("lawyer-015", "16 of 50");
  expect(await console.text("#sync-drift")).toMatch(/^0 of \d+ entries$/);
});

test("in mode firestore, Firestore answers the load too; back in dual-write, Redis does", async () => {
  await console.press("firestore");
  await legend("#chart-calls", "Firestore", /^\d\d+$/);
  await legend("#chart-calls", "Redis", "0");
  await untilText(
    () => console.text("#journal li:first-child"),
    /Mode firestore: the functions answer from it/,
  );
  await console.press("dual-write");
  await legend("#chart-calls", "Redis", /^\d\d+$/);
  await untilText(
    () => console.text("#journal li:first-child"),
    /Mode dual-write: the functions answer from it/,
  );
});

test("with Redis stopped the fallbacks answer, and the page says so; started again, Redis does", async () => {
  await console.press("Stop");
  await untilText(() => console.text("#redis-state"), "stopped");
  await legend("#chart-calls", "Firestore", /^\d\d+$/);
  await legend("#chart-calls", "Redis", "0");
  await waitFor(async () => (await console.pixels("#chart-calls", "firestore")) > 50, {
    what: "Firestore's line",
  });
  await legend('[data-policy="ai-chat"]', "Allowed, local", /^[1-9]/);
  await legend('[data-policy="search"]', "Allowed, open", /^[1-9]/);
  await legend('[data-policy="booking"]', "Refused, closed", /^[1-9]/);
  await bar("lawyer-015", "16 of 50 · not in Redis");
  expect(await console.call("lawyer-015")).toMatch(/^Allowed, 17 of 50 used\. By Firestore/);
  await untilText(() => console.text("#status-redis"), "no answer");
  await untilText(() => console.text("#sync-pending"), "not known without Redis");
  await console.press("Sync now");
  await untilText(
    () => console.text("#journal li:first-child"),
    /Redis is stopped: what it holds cannot be read/,
  );

  await console.press("Start");
  await untilText(() => console.text("#redis-state"), "running");
  await legend("#chart-calls", "Redis", /^\d\d+$/);
  await legend("#chart-calls", "Firestore", "0");
  await legend('[data-policy="booking"]', "Allowed, Redis", /^[1-9]/);
  await untilText(() => console.text("#status-redis"), /^\d+\.\d+\.\d+, PING/);
});

test("a Redis that hangs is told from one that is stopped, and goes on where it was", async () => {
  await console.press("Hang");
  await untilText(() => console.text("#redis-state"), "not answering");
  await legend("#chart-calls", "Firestore", /^\d\d+$/);
  await console.press("Start");
  await untilText(() => console.text("#redis-state"), "running");
  await legend("#chart-calls", "Redis", /^\d\d+$/);
});

test("the load can be switched off and on", async () => {
  await console.page.locator("#load").click();
  await legend("#chart-calls", "Redis", "0");
  expect(await console.page.locator("#load").getAttribute("aria-pressed")).toBe("false");
  await console.page.locator("#load").click();
  await legend("#chart-calls", "Redis", /^\d\d+$/);
});

describe.each(["light", "dark"] as const)("in %s colours", (scheme) => {
  test("texts have contrast, and a narrow phone scrolls in one direction only", async () => {
    const { page } = console;
    await page.emulateMedia({ colorScheme: scheme });
    await waitFor(async () => (await page.locator("html").getAttribute("data-theme")) === scheme, {
      what: scheme,
    });
    for (const { pair, ratio } of await contrasts(console)) {
      expect({ pair, isEnough: ratio >= 4.5, ratio }).toEqual({ pair, isEnough: true, ratio });
    }
    await page.setViewportSize({ width: 360, height: 740 });
    await waitFor(() => page.evaluate(() => document.querySelector(".plot canvas")!.clientWidth < 340), {
      what: "narrower charts",
    });
    const widthPx = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(widthPx).toBe(360);
    await page.setViewportSize({ width: 1280, height: 1080 });
  });
});

test("the button changes the colours, and the page remembers it", async () => {
  const { page } = console;
  const theme = () => page.locator("html").getAttribute("data-theme").then(String);
  const before = await theme();
  await page.locator("#theme").click();
  const after = await theme();
  expect(after).not.toBe(before);
  await console.reload();
  await untilText(theme, after);
});

test("the browser has complained of nothing but the sync that was refused without Redis", () => {
  expect(console.complaints).toEqual([
    "/controls/sync: Failed to load resource: the server responded with a status of 400 (Bad Request)",
  ]);
});

describe("the page's server", () => {
  const ask = (path: string, headers: Record<string, string>, body: string) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const { hostname, port } = new URL(demo.url);
      const json = { "Content-Type": "application/json", ...headers };
      const sent = request({ hostname, port, path, method: "POST", headers: json }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode!, text }));
      });
      sent.on("error", reject).end(body);
    });

  test.each([
    ["another site's page", { Origin: "https://example.com" }, 403],
    ["another name for this machine", { Host: "example.com" }, 421],
    ["a form", { "Content-Type": "text/plain" }, 415],
  ])("does nothing for %s", async (_, headers, status) => {
    expect((await ask("/controls/redis", headers, '{"action":"stop"}')).status).toBe(status);
  });

  test.each([
    ["mode", '{"mode":"fast"}', /^\{"error":"Expected `mode` to be one of firestore, dual-write/],
    ["redis", '{"action":"start"}', /action: got \\"start\\"; Redis is running/],
    [
      "limit",
      '{"providerId":"lawyer-001","limit":1.5}',
      /Expected `limit` to be a whole number.*; got 1\.5\./,
    ],
    [
      "limit",
      '{"providerId":"nobody","limit":1}',
      /Expected `providerId` to be one of the table's; got \\"nobody\\"/,
    ],
    ["load", '{"on":1}', /Expected `on` to be true or false; got 1\./],
    ["sync", "{", /The body is not JSON/],
  ])("refuses a bad %s, naming the field: %s", async (control, body, message) => {
    const { status, text } = await ask(`/controls/${control}`, {}, body);
    expect(status).toBe(400);
    expect(text).toMatch(message);
  });
});

test("when the demo has ended, the page says so", async () => {
  await demo.stop();
  await untilText(() => console.text("#link"), /^The demo cannot be reached\. Start it with: npm run demo$/);
});

/** The contrast ratios of the theme's text colours on what they are on (WCAG 2.2, 1.4.3). */
function contrasts({ page }: ConsolePage): Promise<{ pair: string; ratio: number }[]> {
  return page.evaluate(() => {
    const pairs: [text: string, on: string][] = [
      ["ink", "surface"],
      ["ink", "background"],
      ["muted", "surface"],
      ["muted", "background"],
      ["muted", "sunken"],
      ["accent", "accent-soft"],
      ["on-accent", "accent"],
      ["danger", "surface"],
      ["danger", "danger-soft"],
      ["good", "good-soft"],
    ];
    const styles = getComputedStyle(document.documentElement);
    const luminance = (name: string): number => {
      const hex = styles.getPropertyValue(`--${name}`).trim();
      const [red, green, blue] = [1, 3, 5].map((at) => {
        const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
    };
    return pairs.map(([text, on]) => {
      const [lighter, darker] = [luminance(text), luminance(on)].sort((one, other) => other - one);
      return { pair: `${text} on ${on}`, ratio: (lighter! + 0.05) / (darker! + 0.05) };
    });
  });
}
