import { status } from "@grpc/grpc-js";

/** A failed call, with the status and the message that production would answer. */
export class GrpcError extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.name = "GrpcError";
    this.code = code;
  }

  /** What grpc-js sends as the message. */
  get details(): string {
    return this.message;
  }
}

export function invalidArgument(message: string): GrpcError {
  return new GrpcError(status.INVALID_ARGUMENT, message);
}

export function notFound(message: string): GrpcError {
  return new GrpcError(status.NOT_FOUND, message);
}

export function alreadyExists(message: string): GrpcError {
  return new GrpcError(status.ALREADY_EXISTS, message);
}

export function failedPrecondition(message: string): GrpcError {
  return new GrpcError(status.FAILED_PRECONDITION, message);
}

export function aborted(message: string): GrpcError {
  return new GrpcError(status.ABORTED, message);
}

/** For what Firestore does and this stand-in does not: the feature is named, so that nobody has to guess. */
export function unimplemented(feature: string): GrpcError {
  return new GrpcError(status.UNIMPLEMENTED, `${feature} is not implemented by the stand-in Firestore.`);
}
