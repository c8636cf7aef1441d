import { extensionInstanceId } from "./config/environment";
import type * as kit from "./deployables/kit";

// Not both: to load the kit's declarations is to declare what it needs of a project, and an extension's are of the
// first generation, which no kit may hold.
// eslint-disable-next-line @typescript-eslint/no-require-imports -- an import cannot be conditional and synchronous
const deployables = require(
  extensionInstanceId() === undefined ? "./deployables/kit" : "./deployables/extension",
) as typeof kit;

export const {
  mirrorQuota,
  mirrorSession,
  checkQuota,
  consumeQuota,
  syncQuotas,
  backfillQuotas,
  checkRateLimit,
  getStatus,
} = deployables;
