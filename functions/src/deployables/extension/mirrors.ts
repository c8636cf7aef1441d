import { expr } from "firebase-functions/params";
import { document } from "firebase-functions/v1/firestore";

import { params } from "../../config/params";
import * as runtime from "../../runtime";

export const mirrorQuota = document(expr`${params.QUOTA_COLLECTION_PATH}/{providerId}`).onWrite(
  (change, event) => runtime.mirrorQuota(change, event, runtime.context),
);

export const mirrorSession = document(expr`${params.SESSION_COLLECTION_PATH}/{sessionId}`).onWrite(
  (change, event) => runtime.mirrorSession(change, event, runtime.context),
);
