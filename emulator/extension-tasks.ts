/**
 * Loaded into the Firebase CLI before it runs. The CLI emulates the task queues of functions in a codebase, and passes
 * over those that extension.yaml declares; this has it treat them alike.
 */
import { triggerHelper } from "./firebase-tools.ts";

const { functionResourceToEmulatedTriggerDefintion: toDefinition } = triggerHelper;

triggerHelper.functionResourceToEmulatedTriggerDefintion = (resource, systemParams) => {
  const taskQueueTrigger = resource.properties?.taskQueueTrigger;
  const definition = toDefinition(resource, systemParams);
  return taskQueueTrigger ? { ...definition, httpsTrigger: {}, taskQueueTrigger } : definition;
};
