import { requiresAPI, requiresRole, type Role } from "firebase-functions/v2";
import { afterFirstDeploy, afterRedeploy } from "firebase-functions/v2/lifecycle";

// The CLI runs all functions as a service account that has these roles and no others.
const ROLES: readonly Role[] = [
  "roles/datastore.user",
  "roles/cloudtasks.enqueuer",
  "roles/eventarc.eventReceiver", // Firestore's events come by Eventarc, in this account's name
  "roles/run.invoker", // so do tasks and schedules
  "roles/secretmanager.secretAccessor",
];
for (const role of ROLES) requiresRole(role);
requiresAPI("secretmanager.googleapis.com", "Redis's password and certificate are secrets.");
requiresAPI(
  "vpcaccess.googleapis.com",
  "Redis has a private address, reached through a VPC connector unless VPC_NETWORK is set.",
);

// A task without data is refused before it reaches its function.
const FIRST_PART = { task: { function: "backfillQuotas", body: { data: {} } } };
afterFirstDeploy(FIRST_PART);
afterRedeploy(FIRST_PART);
