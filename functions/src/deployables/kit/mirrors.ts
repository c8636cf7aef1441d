import { expr } from "firebase-functions/params";
import { onDocumentWritten } from "firebase-functions/v2/firestore";

import { params } from "../../config/params";
import * as runtime from "../../runtime";
import { MIRROR } from "./options";

export const mirrorQuota = onDocumentWritten(
  { ...MIRROR, database: params.DATABASE, document: expr`${params.QUOTA_COLLECTION_PATH}/{providerId}` },
  async ({ data, time }) => {
    if (data !== undefined) await runtime.mirrorQuota(data, { timestamp: time }, runtime.context);
  },
);

export const mirrorSession = onDocumentWritten(
  { ...MIRROR, database: params.DATABASE, document: expr`${params.SESSION_COLLECTION_PATH}/{sessionId}` },
  async ({ data, time }) => {
    if (data !== undefined) await runtime.mirrorSession(data, { timestamp: time }, runtime.context);
  },
);
