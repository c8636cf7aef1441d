import type { GlobalOptions } from "firebase-functions/v2/options";

import { params, vpcAtLoad } from "../../config/params";

const INSTANCE: GlobalOptions = { region: params.LOCATION, ...vpcAtLoad(), memory: "256MiB", cpu: 1 };

/** Of functions that wait for Redis and Firestore far longer than they compute: an instance takes many calls at a time. */
export const CALLABLE: GlobalOptions = { ...INSTANCE, timeoutSeconds: 30, concurrency: 80 };

/** Likewise; and an event may wait for Redis to come back. */
export const MIRROR: GlobalOptions = { ...INSTANCE, timeoutSeconds: 60, concurrency: 80 };

/** As the extension's. */
export const LONG_TIMEOUT_SECONDS = 540;

/** Of functions that work as long as they may: a run has its instance to itself. */
export const JOB: GlobalOptions = { ...INSTANCE, timeoutSeconds: LONG_TIMEOUT_SECONDS, concurrency: 1 };
