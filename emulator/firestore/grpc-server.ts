import {
  Metadata,
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { Databases } from "./databases.ts";
import { GrpcError, unimplemented } from "./grpc-error.ts";
import { ListenStream } from "./listen.ts";
import { type ListenRequest, firestoreService } from "./protocol.ts";
import { type StreamingMethod, type UnaryMethod, streamingMethods, unaryMethods } from "./service.ts";

/** Production's limit on a request. */
const MAX_REQUEST_BYTES = 11_534_336;

/** A gRPC server, bound to no port, that answers for Firestore; methods that it lacks answer that by their names. */
export function createGrpcServer(databases: Databases): Server {
  const implementation: UntypedServiceImplementation = {};
  for (const [name, { responseStream }] of Object.entries(firestoreService)) {
    const lacks = (): never => {
      throw unimplemented(name);
    };
    implementation[name] = responseStream ? answeringStream(lacks) : answeringOnce(lacks);
  }
  for (const [name, method] of Object.entries(unaryMethods(databases))) {
    implementation[name] = answeringOnce(method);
  }
  for (const [name, method] of Object.entries(streamingMethods(databases))) {
    implementation[name] = answeringStream(method);
  }
  implementation["Listen"] = listening(databases);
  const server = new Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": -1,
  });
  server.addService(firestoreService, implementation);
  return server;
}

function answeringOnce(method: UnaryMethod): UntypedHandleCall {
  return ((call: ServerUnaryCall<never, object>, callback: sendUnaryData<object>): void => {
    try {
      callback(null, method(call.request));
    } catch (error) {
      callback(asGrpcError(error));
    }
  }) as UntypedHandleCall;
}

function answeringStream(method: StreamingMethod): UntypedHandleCall {
  return ((call: ServerWritableStream<never, object>): void => {
    // Once it has seen the headers Google's client does not try again, for seconds, what cannot succeed.
    call.sendMetadata(new Metadata());
    send(method, call).catch((error: unknown) => call.emit("error", asGrpcError(error)));
  }) as UntypedHandleCall;
}

function listening(databases: Databases): UntypedHandleCall {
  return ((call: ServerDuplexStream<ListenRequest, object>): void => {
    call.sendMetadata(new Metadata());
    const stream = new ListenStream(databases, (response) => call.write(response));
    call.on("data", (request: ListenRequest) => {
      try {
        stream.receive(request);
      } catch (error) {
        stream.close();
        call.emit("error", asGrpcError(error));
      }
    });
    call.on("end", () => {
      stream.close();
      call.end();
    });
    call.on("cancelled", () => stream.close());
  }) as UntypedHandleCall;
}

/** Sends the responses no faster than the client takes them. */
async function send(method: StreamingMethod, call: ServerWritableStream<never, object>): Promise<void> {
  for (const response of method(call.request)) {
    if (call.cancelled) return;
    if (!call.write(response)) await drained(call);
  }
  call.end();
}

function drained(call: ServerWritableStream<never, object>): Promise<void> {
  return new Promise((resolve) => {
    const goOn = (): void => {
      call.off("drain", goOn).off("cancelled", goOn);
      resolve();
    };
    call.on("drain", goOn).on("cancelled", goOn);
  });
}

function asGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  return new GrpcError(
    status.INTERNAL,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
}
