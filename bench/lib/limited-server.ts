/**
 * An HTTP server that decides one request by a limiter and answers; a process of its own for http-load.ts.
 *
 *   node bench/lib/limited-server.ts <this|peer|none> <redis port>
 *
 * Prints its port. `GET /cpu` answers the microseconds of processor time that the process has used; any other path is
 * the subject of a request.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { connectLikeTheProduct, createLimiter } from "./limiters.ts";

const LIMIT = 1_000_000_000;
const WINDOW_MS = 3_600_000;

/** Whether a subject's request is allowed. */
type Decide = (subject: string) => Promise<boolean>;

const deciders: Record<string, (redisPort: number) => Decide> = {
  this: (redisPort) => {
    const limits = [{ algorithm: "fixed-window", limit: LIMIT, windowMs: WINDOW_MS }];
    const { limiter } = createLimiter(redisPort, [{ name: "http", by: "subject", limits }]);
    return async (subject) => (await limiter.check("http", subject)).allowed;
  },
  peer: (redisPort) => {
    const storeClient = connectLikeTheProduct(redisPort);
    const options = { storeClient, points: LIMIT, duration: WINDOW_MS / 1000, keyPrefix: "rlf" };
    const limiter = new RateLimiterRedis(options);
    return async (subject) => (await limiter.consume(subject, 1)).remainingPoints >= 0;
  },
  none: () => async () => true,
};

const [which, redisPort] = process.argv.slice(2);
const decide = deciders[which!]!(Number(redisPort));

const server = createServer((request, response) => {
  if (request.url === "/cpu") {
    const { user, system } = process.cpuUsage();
    response.end(String(user + system));
    return;
  }
  void decide(request.url!.slice(1)).then(
    (allowed) => {
      response.statusCode = allowed ? 200 : 429;
      response.end("ok");
    },
    () => {
      response.statusCode = 500;
      response.end("failed");
    },
  );
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
