import type { ServiceConfig } from "../config/config";
import { describeInstallation, describeSource, InstallationConflictError } from "../quota/installations";
import { isDenied } from "../redis/connection";
import type { Services } from "../services";
import { attempt, fail, pass, warn, type Finding } from "./finding";

/** Documents that are looked at: one billed read each. */
const SAMPLE = 20;

/** Whether Firestore answers, has the collection and its fields, and may be written; and a provider to check. */
export async function checkFirestore(
  config: ServiceConfig,
  { quotaInspector }: Services,
): Promise<{ readonly findings: Finding[]; readonly providerIds: string[] }> {
  const { collectionPath, usedField, limitField } = config.quota;
  const startedMs = performance.now();
  try {
    const sample = await quotaInspector.sampleDocuments(SAMPLE);
    const findings = [pass("Firestore", `answered in ${Math.round(performance.now() - startedMs)} ms`)];
    const withField = sample.filter(({ hasUsed, hasLimit }) => hasUsed || hasLimit).length;
    const invalid = sample.filter(({ problem }) => problem !== undefined);
    if (sample.length === 0)
      findings.push(
        warn("collection", `${collectionPath} is empty`, "Check QUOTA_COLLECTION_PATH, and --project."),
      );
    else findings.push(pass("collection", `${collectionPath}, ${sample.length} documents read`));
    if (sample.length > 0 && withField === 0)
      findings.push(
        warn(
          "fields",
          `no document has ${usedField} or ${limitField}`,
          "Check QUOTA_USED_FIELD and QUOTA_LIMIT_FIELD.",
        ),
      );
    else if (invalid.length > 0)
      findings.push(
        fail(
          "fields",
          `${invalid.length} invalid, such as ${invalid[0]!.providerId}: ${invalid[0]!.problem}`,
          "Correct these documents: checks of them fail.",
        ),
      );
    else if (sample.length > 0)
      findings.push(pass("fields", `${withField} of ${sample.length} have ${usedField} or ${limitField}`));
    findings.push(await checkWriting(quotaInspector));
    const valid = sample.filter(({ problem }) => problem === undefined);
    return { findings, providerIds: valid.map(({ providerId }) => providerId) };
  } catch (error) {
    const todo =
      "Check --project and the credentials (gcloud auth application-default login), and the role datastore.user.";
    return { findings: [fail("Firestore", (error as Error).message, todo)], providerIds: [] };
  }
}

async function checkWriting(quotaInspector: Services["quotaInspector"]): Promise<Finding> {
  const todo = "Grant datastore.user to who runs this: sync and rollback write documents.";
  try {
    return (await quotaInspector.mayWrite())
      ? pass("writing", "these credentials may write documents")
      : fail("writing", "these credentials may not write documents", todo);
  } catch (error) {
    return fail("writing", (error as Error).message, todo);
  }
}

/** Whether the way back is open, and what would have to be brought over. */
export async function checkRollback({ quotaSync }: Services): Promise<Finding> {
  try {
    const { pendingProviders } = await quotaSync.unsynced();
    return pass(
      "rollback",
      `${pendingProviders} providers have usage that Firestore lacks and rollback brings over`,
    );
  } catch (error) {
    return fail(
      "rollback",
      (error as Error).message,
      "Usage that Firestore lacks, if any, is in Redis: reach it first.",
    );
  }
}

/**
 * Checks whether Redis counts usage for other params than these.
 *
 * @param allow what to do if the Redis user may not look for them
 */
export async function checkInstallation({ installations }: Services, allow: string): Promise<Finding> {
  const check = "installation";
  const { keyPrefix, source } = installations;
  const found = `KEY_PREFIX ${keyPrefix}, for ${describeSource(source)}`;
  try {
    await installations.confirm();
    const others = await installations.unsyncedOthers();
    if (others.length === 0) return pass(check, found);
    return warn(
      check,
      `${found}; Redis also holds unsynced usage of ${others.map(describeInstallation).join(", ")}`,
      "If you have changed KEY_PREFIX, set it back and run rollback before you change it.",
    );
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof InstallationConflictError)
      return fail(check, message, "See docs/operations.md#installation-conflict.");
    return isDenied(error)
      ? warn(check, `${found}; other installations could not be looked for: ${message}`, allow)
      : fail(check, message, "See docs/operations.md#redis-unreachable.");
  }
}

/** Checks a quota with a Redis that is not there, as in an outage. */
export function checkFallback({ quotaService }: Services, providerId = "doctor"): Promise<Finding> {
  return attempt(
    "fallback",
    () => quotaService.check(providerId),
    "Firestore answers a check without Redis",
    "Make Firestore reachable: without it nothing answers while Redis is away.",
  );
}
