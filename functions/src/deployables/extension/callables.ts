import { onCall } from "firebase-functions/v2/https";

import * as runtime from "../../runtime";

export const checkQuota = onCall((call) => runtime.checkQuota(call, runtime.context));

export const consumeQuota = onCall((call) => runtime.consumeQuota(call, runtime.context));

export const checkRateLimit = onCall((call) => runtime.checkRateLimit(call, runtime.context));

export const getStatus = onCall((call) => runtime.getStatus(call, runtime.context));
