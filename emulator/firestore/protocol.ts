import { type GrpcObject, type ServiceClientConstructor, loadPackageDefinition } from "@grpc/grpc-js";
import { type MessageTypeDefinition, fromJSON } from "@grpc/proto-loader";
// By relative path, because the package exports its code only; this works alike in ES modules and in CommonJS.
import firestoreProtos from "../../node_modules/@google-cloud/firestore/build/protos/v1.json" with { type: "json" };

/** google.firestore.v1 as proto-loader gives it with the options below; only what the stand-in reads or answers. */
const definition = fromJSON(firestoreProtos, {
  longs: String,
  enums: String,
  bytes: Buffer,
  defaults: true,
  oneofs: true,
});

interface FirestorePackage {
  google: { firestore: { v1: { Firestore: ServiceClientConstructor } } };
}

/** The service definition to register with a gRPC server. */
export const firestoreService = (
  loadPackageDefinition(definition) as GrpcObject as unknown as FirestorePackage
).google.firestore.v1.Firestore.service;

/** Encodes messages apart from calls: documents, for events. */
export function messageType(name: "Document" | "DocumentMask"): MessageTypeDefinition<object, object> {
  return definition[`google.firestore.v1.${name}`] as MessageTypeDefinition<object, object>;
}

export interface Timestamp {
  /** An int64 in decimal. */
  seconds: string;
  nanos: number;
}

export type Fields = Record<string, Value>;

export type Value =
  | { valueType: "nullValue"; nullValue: "NULL_VALUE" }
  | { valueType: "booleanValue"; booleanValue: boolean }
  | { valueType: "integerValue"; /** An int64 in decimal. */ integerValue: string }
  | { valueType: "doubleValue"; doubleValue: number }
  | { valueType: "timestampValue"; timestampValue: Timestamp }
  | { valueType: "stringValue"; stringValue: string }
  | { valueType: "bytesValue"; bytesValue: Buffer }
  | { valueType: "referenceValue"; referenceValue: string }
  | { valueType: "geoPointValue"; geoPointValue: { latitude: number; longitude: number } }
  | { valueType: "arrayValue"; arrayValue: { values: Value[] } }
  | { valueType: "mapValue"; mapValue: { fields: Fields } };

export interface Document {
  name: string;
  fields: Fields;
  createTime?: Timestamp | null;
  updateTime?: Timestamp | null;
}

export interface DocumentMask {
  fieldPaths: string[];
}

export type Precondition =
  { conditionType: "exists"; exists: boolean } | { conditionType: "updateTime"; updateTime: Timestamp };

export interface FieldTransform {
  fieldPath: string;
  transformType:
    "setToServerValue" | "increment" | "maximum" | "minimum" | "appendMissingElements" | "removeAllFromArray";
  setToServerValue?: string;
  increment?: Value;
  maximum?: Value;
  minimum?: Value;
  appendMissingElements?: { values: Value[] };
  removeAllFromArray?: { values: Value[] };
}

export interface Write {
  operation?: "update" | "delete" | "transform";
  update?: Document;
  delete?: string;
  transform?: { document: string; fieldTransforms: FieldTransform[] };
  updateMask?: DocumentMask | null;
  updateTransforms: FieldTransform[];
  currentDocument?: Precondition | null;
}

export interface WriteResult {
  updateTime?: Timestamp;
  transformResults?: Value[];
}

export interface TransactionOptions {
  mode?: "readOnly" | "readWrite";
  readOnly?: { readTime?: Timestamp };
  readWrite?: { retryTransaction: Buffer };
}

/** At which moment, or in which transaction, a request reads. */
export interface Consistency {
  consistencySelector?: "transaction" | "newTransaction" | "readTime";
  transaction?: Buffer;
  newTransaction?: TransactionOptions;
  readTime?: Timestamp;
}

export interface FieldReference {
  fieldPath: string;
}

export type FieldOperator =
  | "LESS_THAN"
  | "LESS_THAN_OR_EQUAL"
  | "GREATER_THAN"
  | "GREATER_THAN_OR_EQUAL"
  | "EQUAL"
  | "NOT_EQUAL"
  | "ARRAY_CONTAINS"
  | "IN"
  | "ARRAY_CONTAINS_ANY"
  | "NOT_IN";

export type UnaryOperator = "IS_NAN" | "IS_NULL" | "IS_NOT_NAN" | "IS_NOT_NULL";

export interface Filter {
  filterType?: "compositeFilter" | "fieldFilter" | "unaryFilter";
  compositeFilter?: { op: "OPERATOR_UNSPECIFIED" | "AND" | "OR"; filters: Filter[] };
  fieldFilter?: {
    field: FieldReference | null;
    op: FieldOperator | "OPERATOR_UNSPECIFIED";
    value: Value | null;
  };
  unaryFilter?: { op: UnaryOperator | "OPERATOR_UNSPECIFIED"; field?: FieldReference };
}

export interface Cursor {
  values: Value[];
  before: boolean;
}

export interface StructuredQuery {
  select?: { fields: FieldReference[] } | null;
  from: { collectionId: string; allDescendants: boolean }[];
  where?: Filter | null;
  orderBy: { field: FieldReference; direction: "DIRECTION_UNSPECIFIED" | "ASCENDING" | "DESCENDING" }[];
  startAt?: Cursor | null;
  endAt?: Cursor | null;
  offset: number;
  limit?: { value: number } | null;
  findNearest?: object | null;
}

export interface ListenTarget {
  targetId: number;
  once: boolean;
  query?: { parent: string; structuredQuery?: StructuredQuery };
  documents?: { documents: string[] };
  resumeType?: "resumeToken" | "readTime";
}

export type ListenRequest = { database: string } & (
  | { targetChange: "addTarget"; addTarget: ListenTarget }
  | { targetChange: "removeTarget"; removeTarget: number }
  | { targetChange?: undefined }
);

export interface Aggregation {
  operator?: "count" | "sum" | "avg";
  count?: { upTo?: { value: string } | null };
  sum?: { field: FieldReference };
  avg?: { field: FieldReference };
  alias: string;
}
