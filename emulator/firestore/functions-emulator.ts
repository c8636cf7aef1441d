import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type TriggerEvent, eventRequest } from "./trigger-events.ts";

/** Longer than a function may run by default, shorter than a session at the desk. */
const ANSWER_TIMEOUT_MS = 120_000;
const RETRY_DELAYS_MS = [100, 200, 400, 800];

/** Where the Functions emulator takes events; known only after it has started. */
export class FunctionsEmulator {
  /** `host:port` */
  address: string | undefined;

  constructor(address: string | undefined) {
    this.address = address;
  }

  /**
   * Posts an event. Any answer settles it, as a function without a retry policy has its one chance in production too;
   * only when there is no answer to be had, the event is sent again, a few times.
   *
   * @returns whether the function ran and succeeded
   */
  async send(event: TriggerEvent): Promise<boolean> {
    for (const delayMs of [...RETRY_DELAYS_MS, undefined]) {
      try {
        const status = await this.#post(event);
        return status >= 200 && status < 300;
      } catch {
        if (delayMs === undefined) return false;
        await sleep(delayMs, undefined, { ref: false });
      }
    }
    return false;
  }

  #post(event: TriggerEvent): Promise<number> {
    const { project, key } = event.trigger;
    const { headers, body } = eventRequest(event);
    return new Promise((resolve, reject) => {
      const url = `http://${this.address}/functions/projects/${project}/triggers/${key}`;
      // A connection of its own: one kept alive may be closed under the event, which would then be sent twice.
      const post = request(url, { method: "POST", agent: false, timeout: ANSWER_TIMEOUT_MS, headers });
      post.on("timeout", () => post.destroy(new Error(`No answer within ${ANSWER_TIMEOUT_MS} ms.`)));
      post.on("error", reject);
      post.on("response", (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
        response.on("error", reject);
      });
      // As bytes: Node would encode the headers like a body of text, as UTF-8, when it sends them together.
      post.end(Buffer.from(body));
    });
  }
}
