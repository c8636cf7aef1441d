import { onCall } from "firebase-functions/v2/https";

import * as runtime from "../../runtime";
import { CALLABLE } from "./options";

export const checkQuota = onCall(CALLABLE, (call) => runtime.checkQuota(call, runtime.context));

export const consumeQuota = onCall(CALLABLE, (call) => runtime.consumeQuota(call, runtime.context));

export const checkRateLimit = onCall(CALLABLE, (call) => runtime.checkRateLimit(call, runtime.context));

export const getStatus = onCall(CALLABLE, (call) => runtime.getStatus(call, runtime.context));
