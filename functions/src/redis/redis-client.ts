import { Redis } from "ioredis";

/** ioredis's words for a command without a reply after `commandTimeout`. */
export const TIMED_OUT = "Command timed out";

/**
 * ioredis's client, which gives up on a command only when it has read all that had arrived by then. After a pause of the
 * process (a handler that computes, a processor that is shared) timers run before sockets are read, so that ioredis by
 * itself would drop replies that have been there for long. A pause as long as `socketTimeout` still costs the connection.
 */
export class RedisClient extends Redis {
  override sendCommand(...args: Parameters<Redis["sendCommand"]>): unknown {
    const [command] = args;
    const { reject } = command;
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
