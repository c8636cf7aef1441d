import { Redis, type AbstractConnector, type RedisOptions } from "ioredis";

import { UnexpectedReplyError } from "./reply";

/** ioredis's words for a command without a reply after `commandTimeout`. */
export const TIMED_OUT = "Command timed out";

/**
 * ioredis's client, which gives up on a command only when it has read all that had arrived by then. After a pause of the
 * process (a handler that computes, a processor that is shared) timers run before sockets are read, so that ioredis by
 * itself would drop replies that have been there for long. A pause as long as `socketTimeout` still costs the connection.
 *
 * A socket can report several errors: a TLS socket its own and the server's alert. ioredis listens for the first only,
 * and a second one would end the process.
 */
export class RedisClient extends Redis {
  constructor(options: RedisOptions & { readonly lazyConnect: true; readonly replyMapping?: "legacy" }) {
    super(options);
    const { connector } = this as unknown as { readonly connector: AbstractConnector };
    const connect = connector.connect.bind(connector);
    connector.connect = async (emitError) => (await connect(emitError)).on("error", () => {});
  }

  override sendCommand(...args: Parameters<Redis["sendCommand"]>): unknown {
    const [command] = args;
    const { resolve, reject } = command;
    // The first reply on a connection: a server that is no Redis is never sent anything that it could seem to do.
    if (command.name === "info")
      command.resolve = (reply) =>
        String(reply).includes("redis_version:")
          ? resolve(reply)
          : reject(new UnexpectedReplyError("INFO", reply));
    command.reject = (error) => {
      if (error.message !== TIMED_OUT) return reject(error);
      // Between timers and this, the event loop reads.
      setImmediate(() => {
        if (!command.isSettled) reject(error);
      });
    };
    return super.sendCommand(...args);
  }
}
