import { acceptFields, checkDocumentSize } from "./accept-fields.ts";
import { getField, parseFieldPath, withField } from "./field-paths.ts";
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from "./grpc-error.ts";
import type { Fields, Precondition, Value, Write } from "./protocol.ts";
import { documentPath } from "./resource-names.ts";
import { type Micros, microsOf } from "./timestamps.ts";
import { applyTransforms } from "./transforms.ts";
import { identicalFields } from "./values.ts";

/** One version of a document. Never changed once it is stored. */
export interface StoredDocument {
  readonly fields: Fields;
  readonly createTime: Micros;
  readonly updateTime: Micros;
}

/** The name of the document that a write is about. */
export function writtenName(write: Write): string {
  const name = write.update?.name ?? write.delete ?? write.transform?.document;
  if (!name) throw invalidArgument("A write must name a document to update, delete or transform.");
  return name;
}

/**
 * What a write makes of a document: `current` itself if it changes nothing, undefined if it deletes.
 *
 * @throws GrpcError if the precondition does not hold or the result could not be stored
 */
export function applyWrite(
  databaseName: string,
  write: Write,
  current: StoredDocument | undefined,
  commitTime: Micros,
): { document: StoredDocument | undefined; transformResults: Value[] } {
  const name = writtenName(write);
  checkPrecondition(write.currentDocument, current, name);
  if (write.operation === "delete") return { document: undefined, transformResults: [] };

  const written = writtenFields(write, current?.fields ?? {});
  const transforms = [...(write.transform?.fieldTransforms ?? []), ...write.updateTransforms];
  const { fields, results } = applyTransforms(written, transforms, commitTime);
  checkDocumentSize(name, documentPath(databaseName, name), acceptFields(fields));
  const document =
    current && identicalFields(current.fields, fields)
      ? current
      : { fields, createTime: current?.createTime ?? commitTime, updateTime: commitTime };
  return { document, transformResults: results };
}

function writtenFields(write: Write, current: Fields): Fields {
  if (!write.update) return current;
  if (!write.updateMask) return write.update.fields;
  acceptFields(write.update.fields);
  let merged = current;
  for (const text of write.updateMask.fieldPaths) {
    const path = parseFieldPath(text);
    merged = withField(merged, path, getField(write.update.fields, path));
  }
  return merged;
}

function checkPrecondition(
  precondition: Precondition | null | undefined,
  current: StoredDocument | undefined,
  name: string,
): void {
  switch (precondition?.conditionType) {
    case "exists":
      if (precondition.exists && !current) throw notFound(`No document to update: ${name}`);
      if (!precondition.exists && current) throw alreadyExists(`Document already exists: ${name}`);
      return;
    case "updateTime": {
      const required = microsOf(precondition.updateTime);
      const stored = current?.updateTime ?? 0;
      if (stored !== required) {
        throw failedPrecondition(
          `the stored version (${stored}) does not match the required base version (${required})`,
        );
      }
      return;
    }
    case undefined:
      return;
  }
}
