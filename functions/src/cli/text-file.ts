import { readFileSync } from "node:fs";

import { formatValue, validationMessage } from "../validation";
import { UsageError } from "./usage-error";

/**
 * Reads a text file that `argument` names, as UTF-8.
 *
 * @throws UsageError
 */
export function readTextFile(file: string, argument: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "which does not exist" : code === "EISDIR" ? "a directory" : message;
    throw new UsageError(
      validationMessage(argument, "a file that can be read", `${formatValue(file)}, ${reason}`),
    );
  }
  // Text in UTF-16 begins with a byte order mark, or has zeros between ASCII characters.
  const isUtf16 = /^(\xff\xfe|\xfe\xff)/.test(bytes.toString("latin1", 0, 2)) || bytes.includes(0);
  if (isUtf16) {
    const got = `UTF-16 or binary data in ${formatValue(file)}`;
    throw new UsageError(validationMessage(argument, "UTF-8 text", got));
  }
  return bytes.toString("utf8");
}
