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
import type { CallSwitches } from "./call-faults.ts";
import type { Databases } from "./databases.ts";
import { GrpcError, unimplemented } from "./grpc-error.ts";
import { ListenStream } from "./listen.ts";
import { type ListenRequest, firestoreService } from "./protocol.ts";
import { type StreamingMethod, type UnaryMethod, streamingMethods, unaryMethods } from "./service.ts";

/** Production's limit on a request. */
const MAX_REQUEST_BYTES = 11_534_336;

/** A gRPC server, bound to no port, that answers for Firestore; methods that it lacks answer that by their names. */
export function createGrpcServer(databases: Databases, switches: CallSwitches): Server {
  const implementation: UntypedServiceImplementation = {};
  for (const [name, { responseStream }] of Object.entries(firestoreService)) {
    const lacks = (): never => {
      throw unimplemented(name);
    };
    implementation[name] = responseStream
      ? answeringStream(name, lacks, switches)
      : answeringOnce(name, lacks, switches);
  }
  for (const [name, method] of Object.entries(unaryMethods(databases))) {
    implementation[name] = answeringOnce(name, method, switches);
  }
  for (const [name, method] of Object.entries(streamingMethods(databases))) {
    implementation[name] = answeringStream(name, method, switches);
  }
  implementation["Listen"] = listening(databases, switches);
  const server = new Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": -1,
  });
  server.addService(firestoreService, implementation);
  return server;
}

function answeringOnce(name: string, method: UnaryMethod, switches: CallSwitches): UntypedHandleCall {
  return ((call: ServerUnaryCall<never, object>, callback: sendUnaryData<object>): void => {
    const isCancelled = (): boolean => call.cancelled;
    switches
      .answer(name, isCancelled, () => method(call.request))
      .then(
        (answer) => callback(null, answer),
        (error: unknown) => callback(asGrpcError(error)),
      );
  }) as UntypedHandleCall;
}

function answeringStream(name: string, method: StreamingMethod, switches: CallSwitches): UntypedHandleCall {
  return ((call: ServerWritableStream<never, object>): void => {
    const isCancelled = (): boolean => call.cancelled;
    switches
      .begin(name, isCancelled, () => {
        // Once it has seen the headers Google's client does not try again, for seconds, what cannot succeed.
        call.sendMetadata(new Metadata());
        return send(method, call);
      })
      .catch((error: unknown) => call.emit("error", asGrpcError(error)));
  }) as UntypedHandleCall;
}

function listening(databases: Databases, switches: CallSwitches): UntypedHandleCall {
  return ((call: ServerDuplexStream<ListenRequest, object>): void => {
    // What it reads waits until somebody listens for data.
    switches
      .begin(
        "Listen",
        () => call.cancelled,
        () => listen(databases, call),
      )
      .catch((error: unknown) => call.emit("error", asGrpcError(error)));
  }) as UntypedHandleCall;
}

function listen(databases: Databases, call: ServerDuplexStream<ListenRequest, object>): void {
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
