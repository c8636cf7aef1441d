import { randomUUID } from "node:crypto";
import type { DocumentChange } from "./change-log.ts";
import { type FieldPath, formatFieldPath } from "./field-paths.ts";
import { type Document, type Fields, type Value, messageType } from "./protocol.ts";
import { toDocument } from "./read-view.ts";
import { rfc3339, timestampOf } from "./timestamps.ts";
import type { Trigger } from "./triggers.ts";
import { identicalValues } from "./values.ts";
import type { StoredDocument } from "./writes.ts";

/** A change on its way to one trigger. */
export interface TriggerEvent {
  readonly id: string;
  readonly trigger: Trigger;
  readonly change: DocumentChange;
}

export interface EventRequest {
  headers: Record<string, string>;
  body: string;
}

export function newTriggerEvent(trigger: Trigger, change: DocumentChange): TriggerEvent {
  return { id: randomUUID(), trigger, change };
}

/** What to post to the Functions emulator. */
export function eventRequest(event: TriggerEvent): EventRequest {
  return event.trigger.generation === 1 ? firstGenRequest(event) : secondGenRequest(event);
}

function firstGenRequest(event: TriggerEvent): EventRequest {
  const { before, after, name, time, updateMask } = partsOf(event);
  const body = {
    context: {
      eventId: event.id,
      timestamp: time,
      eventType: event.trigger.eventType,
      resource: { service: "firestore.googleapis.com", name },
    },
    data: {
      value: after ? documentToJson(after) : {},
      oldValue: before ? documentToJson(before) : {},
      updateMask: updateMask ? { fieldPaths: updateMask } : {},
    },
  };
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** A CloudEvent in binary mode, except that its body is in base64, which is how the Functions emulator takes it. */
function secondGenRequest(event: TriggerEvent): EventRequest {
  const { trigger, change } = event;
  const { before, after, time, updateMask } = partsOf(event);
  const attributes = {
    id: event.id,
    source: `//firestore.googleapis.com/projects/${trigger.project}/databases/${trigger.database}`,
    type: trigger.eventType,
    specversion: "1.0",
    time,
    subject: `documents/${change.path}`,
    datacontenttype: "application/protobuf",
    dataschema:
      "https://github.com/googleapis/google-cloudevents/blob/main/proto/google/events/cloud/firestore/v1/data.proto",
    project: trigger.project,
    location: "us-central1",
    database: trigger.database,
    namespace: "(default)",
    document: change.path,
    ...(trigger.eventType.endsWith(".withAuthContext") && { authtype: "unknown" }),
  };
  const headers: Record<string, string> = { "content-type": "application/protobuf" };
  for (const [name, value] of Object.entries(attributes)) headers[`ce-${name}`] = utf8Header(value);
  return { headers, body: documentEventData(after, before, updateMask).toString("base64") };
}

function partsOf({ trigger, change }: TriggerEvent): {
  before: Document | undefined;
  after: Document | undefined;
  name: string;
  time: string;
  updateMask: string[] | undefined;
} {
  const databaseName = `projects/${trigger.project}/databases/${trigger.database}`;
  const { path, before, after } = change;
  const named = (document: StoredDocument | undefined): Document | undefined =>
    document && toDocument(databaseName, path, document, undefined);
  return {
    before: named(before),
    after: named(after),
    name: `${databaseName}/documents/${path}`,
    time: rfc3339(timestampOf(change.time)),
    updateMask: before && after && changedPaths(before.fields, after.fields).map(formatFieldPath),
  };
}

/**
 * google.events.cloud.firestore.v1.DocumentEventData: value = 1, old_value = 2, update_mask = 3. Its documents and masks
 * have the same encoding as those of google.firestore.v1.
 */
function documentEventData(
  value: Document | undefined,
  oldValue: Document | undefined,
  updateMask: string[] | undefined,
): Buffer {
  const document = messageType("Document");
  return Buffer.concat([
    ...(value ? lengthDelimited(1, document.serialize(value)) : []),
    ...(oldValue ? lengthDelimited(2, document.serialize(oldValue)) : []),
    ...(updateMask
      ? lengthDelimited(3, messageType("DocumentMask").serialize({ fieldPaths: updateMask }))
      : []),
  ]);
}

function lengthDelimited(field: number, bytes: Buffer): Buffer[] {
  const prefix = [(field << 3) | 2];
  let length = bytes.length;
  for (; length > 0x7f; length >>>= 7) prefix.push((length & 0x7f) | 0x80);
  prefix.push(length);
  return [Buffer.from(prefix), bytes];
}

/** Production sends ids beyond ASCII as bare UTF-8, which Node's receivers read as Latin-1; so does this. */
function utf8Header(value: string): string {
  return Buffer.from(value, "utf8").toString("latin1");
}

/** The paths of the values that differ, in maps the paths within them. */
function changedPaths(before: Fields, after: Fields, prefix: FieldPath = []): FieldPath[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].sort().flatMap((name) => {
    const left = Object.hasOwn(before, name) ? before[name] : undefined;
    const right = Object.hasOwn(after, name) ? after[name] : undefined;
    const path = [...prefix, name];
    if (left && right && identicalValues(left, right)) return [];
    return left?.valueType === "mapValue" && right?.valueType === "mapValue"
      ? changedPaths(left.mapValue.fields, right.mapValue.fields, path)
      : [path];
  });
}

function documentToJson({ name, fields, createTime, updateTime }: Document): object {
  return {
    name,
    fields: fieldsToJson(fields),
    createTime: createTime && rfc3339(createTime),
    updateTime: updateTime && rfc3339(updateTime),
  };
}

function fieldsToJson(fields: Fields): Record<string, object> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, valueToJson(value)]));
}

/** A value in proto3's JSON. */
function valueToJson(value: Value): object {
  switch (value.valueType) {
    case "nullValue":
      return { nullValue: null };
    case "booleanValue":
      return { booleanValue: value.booleanValue };
    case "integerValue":
      return { integerValue: value.integerValue };
    case "doubleValue":
      return { doubleValue: doubleToJson(value.doubleValue) };
    case "timestampValue":
      return { timestampValue: rfc3339(value.timestampValue) };
    case "stringValue":
      return { stringValue: value.stringValue };
    case "bytesValue":
      return { bytesValue: value.bytesValue.toString("base64") };
    case "referenceValue":
      return { referenceValue: value.referenceValue };
    case "geoPointValue":
      return { geoPointValue: value.geoPointValue };
    case "arrayValue":
      return { arrayValue: { values: value.arrayValue.values.map(valueToJson) } };
    case "mapValue":
      return { mapValue: { fields: fieldsToJson(value.mapValue.fields) } };
  }
}

/** JSON has no number for these; proto3 writes them as strings. */
function doubleToJson(value: number): number | string {
  if (Object.is(value, -0)) return "-0";
  return Number.isFinite(value) ? value : String(value);
}
