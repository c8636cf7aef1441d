import type { Browser, Page } from "playwright-core";

const READY_TIMEOUT_MS = 30_000;

/** The console in a browser, as a person sees and uses it. */
export class ConsolePage {
  readonly page: Page;
  /** What the browser has complained of. */
  readonly complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(error.message));
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      this.complaints.push(`${new URL(message.location().url).pathname}: ${message.text()}`);
    });
  }

  /** Opens the page and waits until its buttons can be pressed. */
  static async open(browser: Browser, url: string): Promise<ConsolePage> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 1080 } });
    const console = new ConsolePage(await context.newPage());
    await console.page.goto(url);
    await console.#untilReady();
    return console;
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.#untilReady();
  }

  text(selector: string): Promise<string> {
    return this.page.locator(selector).innerText();
  }

  async press(name: string): Promise<void> {
    await this.page.getByRole("button", { name, exact: true }).click();
  }

  callButton(providerId: string) {
    return this.#row(providerId).getByRole("button", { name: /^AI call/ });
  }

  /** Makes an AI call, and returns what the page says of it. */
  async call(providerId: string): Promise<string> {
    const answer = this.#row(providerId).locator(".answer");
    await answer.evaluate((element) => (element.textContent = ""));
    await this.callButton(providerId).click();
    await answer.filter({ hasText: /\S/ }).waitFor();
    return answer.innerText();
  }

  /** What the row says of the quota: `92 of 100`, and what is special about it. */
  bar(providerId: string): Promise<string> {
    return this.#row(providerId).locator(".bar p").innerText();
  }

  /** How much of the bar's width is filled. */
  async filledShare(providerId: string): Promise<number> {
    const track = this.#row(providerId).locator(".track");
    return track.evaluate((element) => {
      const filled = [...element.children].reduce((sum, part) => sum + part.getBoundingClientRect().width, 0);
      return filled / element.getBoundingClientRect().width;
    });
  }

  async setLimit(providerId: string, limit: string): Promise<string> {
    const row = this.#row(providerId);
    await row.getByRole("spinbutton").fill(limit);
    const answer = row.locator(".answer");
    await answer.evaluate((element) => (element.textContent = ""));
    await row.getByRole("button", { name: /^Set the limit/ }).click();
    await answer.filter({ hasText: /\S/ }).waitFor();
    return answer.innerText();
  }

  /** What a chart's legend says of a series now. */
  legend(chart: string, series: string): Promise<string> {
    return this.page
      .locator(`${chart} .legend div`)
      .filter({ has: this.page.getByText(series, { exact: true }) })
      .locator("dd")
      .innerText();
  }

  /** How many pixels of a chart have a colour of the theme. */
  pixels(chart: string, colour: string): Promise<number> {
    return this.page.locator(`${chart} canvas`).evaluate((canvas: HTMLCanvasElement, name) => {
      const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
      const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
      // A copy, as reading from the chart's own canvas would change how the browser keeps it.
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d")!;
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] === red && data[i + 1] === green && data[i + 2] === blue) count++;
      }
      return count;
    }, colour);
  }

  async #untilReady(): Promise<void> {
    const enabled = this.page.locator(":enabled");
    await this.callButton("lawyer-001").and(enabled).waitFor({ timeout: READY_TIMEOUT_MS });
  }

  #row(providerId: string) {
    return this.page.locator(`[data-provider="${providerId}"]`);
  }
}
