import { expr } from "firebase-functions/params";
import { onDocumentWritten } from "firebase-functions/v2/firestore";

import { params } from "../../config/params";
import { context } from "../../context";
import { mirrorQuota as applyProviderChange } from "../../handlers/mirror-quota";
import { mirrorSession as applySessionChange } from "../../handlers/mirror-session";
import { MIRROR } from "./options";

export const mirrorQuota = onDocumentWritten(
  { ...MIRROR, database: params.DATABASE, document: expr`${params.QUOTA_COLLECTION_PATH}/{providerId}` },
  async ({ data, time }) => {
    if (data !== undefined) await applyProviderChange(data, { timestamp: time }, context);
  },
);

export const mirrorSession = onDocumentWritten(
  { ...MIRROR, database: params.DATABASE, document: expr`${params.SESSION_COLLECTION_PATH}/{sessionId}` },
  async ({ data, time }) => {
    if (data !== undefined) await applySessionChange(data, { timestamp: time }, context);
  },
);
