import type { DocumentData } from "firebase-admin/firestore";

import { timestampMs } from "../firestore";
import { formatRedacted, isMap, validationMessage } from "../validation";
import { InvalidSessionDataError, parseSessionData, SessionTooLargeError } from "./session-data";
import type { Session, SessionSnapshot } from "./session";

/** A session's document holds neither a session nor the mark of one that was destroyed. */
export class InvalidSessionDocumentError extends Error {
  override readonly name = "InvalidSessionDocumentError";
  readonly code = "invalid-session-document";
}

/** The fields of a session's document. A TTL policy on `expiresAt` removes it when it has expired. */
export function sessionFields({ data, expiresAtMs }: Session): DocumentData {
  return { data, expiresAt: new Date(expiresAtMs) };
}

/**
 * The fields of the document that stays in place of a destroyed session: a deleted one could not tell a write that was
 * under way from a new session.
 */
export function destroyedFields({ expiresAtMs }: Pick<Session, "expiresAtMs">): DocumentData {
  return { destroyed: true, expiresAt: new Date(expiresAtMs) };
}

/** Whether a document is a session or a destroyed one, rather than one of the app's own in the same collection. */
export function isSessionDocument(document: DocumentData | undefined): boolean {
  if (timestampMs(document?.["expiresAt"]) === undefined) return false;
  return document!["destroyed"] === true || isMap(document!["data"]);
}

/**
 * Reads a session's document; whether it has expired is for the caller to see.
 *
 * @throws InvalidSessionDocumentError
 */
export function parseSessionDocument(document: DocumentData | undefined): SessionSnapshot["state"] {
  if (document === undefined) return "absent";
  if (document["destroyed"] === true) return "destroyed";
  const { data, expiresAt } = document;
  const expiresAtMs = timestampMs(expiresAt);
  if (expiresAtMs === undefined) {
    throw new InvalidSessionDocumentError(
      validationMessage("expiresAt", "a timestamp", formatRedacted(expiresAt)),
    );
  }
  if (!isMap(data))
    throw new InvalidSessionDocumentError(validationMessage("data", "a map", formatRedacted(data)));
  try {
    return { data: parseSessionData(data), expiresAtMs };
  } catch (error) {
    if (!(error instanceof InvalidSessionDataError || error instanceof SessionTooLargeError)) throw error;
    throw new InvalidSessionDocumentError(error.message);
  }
}
