import { expr } from "firebase-functions/params";
import { document } from "firebase-functions/v1/firestore";

import { params } from "../../config/params";
import { context } from "../../context";
import { mirrorQuota as applyProviderChange } from "../../handlers/mirror-quota";
import { mirrorSession as applySessionChange } from "../../handlers/mirror-session";

export const mirrorQuota = document(expr`${params.QUOTA_COLLECTION_PATH}/{providerId}`).onWrite(
  (change, event) => applyProviderChange(change, event, context),
);

export const mirrorSession = document(expr`${params.SESSION_COLLECTION_PATH}/{sessionId}`).onWrite(
  (change, event) => applySessionChange(change, event, context),
);
