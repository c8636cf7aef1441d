import { type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { fromJSON, type ServiceDefinition } from "@grpc/proto-loader";
// By relative path, because the package exports its code only.
import secretManagerProtos from "../../node_modules/@google-cloud/secret-manager/build/protos/protos.json" with { type: "json" };

const { AccessSecretVersion } = fromJSON(secretManagerProtos, { longs: Number })[
  "google.cloud.secretmanager.v1.SecretManagerService"
] as ServiceDefinition;

type Access = (
  call: ServerUnaryCall<{ name: string }, unknown>,
  reply: sendUnaryData<{ name: string; payload: { data: Buffer } }>,
) => void;

/** A server of Secret Manager's gRPC protocol, as far as reading goes: a test adds versions, and says how it fails. */
export interface SecretManagerServer {
  readonly host: string;
  /** The versions that were asked for, in order. */
  readonly accessed: string[];
  /** Adds a version to a secret, `projects/PROJECT/secrets/SECRET`, and returns its full name. */
  add(secret: string, value: string): string;
  /** From now on no call is answered, or each is refused with a status, or (`undefined`) all are served. */
  fail(how: "silent" | status | undefined): void;
  /** Ends it; another can then be started at its port. */
  stop(): Promise<void>;
}

/** Starts a {@link SecretManagerServer} on 127.0.0.1. */
export async function startSecretManager(port = 0): Promise<SecretManagerServer> {
  const secrets = new Map<string, string[]>();
  const accessed: string[] = [];
  let failure: "silent" | status | undefined;
  const access: Access = ({ request: { name } }, reply) => {
    accessed.push(name);
    if (failure === "silent") return;
    if (failure !== undefined) return reply({ code: failure, details: "refused by the test" });
    const [, secret, version] = /^(projects\/[^/]+\/secrets\/[^/]+)\/versions\/(\w+)$/.exec(name)!;
    const versions = secrets.get(secret!) ?? [];
    const number = version === "latest" ? versions.length : Number(version);
    const value = versions[number - 1];
    if (value === undefined)
      return reply({ code: status.NOT_FOUND, details: `Secret Version [${name}] not found.` });
    reply(null, { name: `${secret}/versions/${number}`, payload: { data: Buffer.from(value) } });
  };
  const server = new Server();
  server.addService({ AccessSecretVersion: AccessSecretVersion! }, { AccessSecretVersion: access });
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  return {
    host: `127.0.0.1:${bound}`,
    accessed,
    add(secret, value) {
      const versions = [...(secrets.get(secret) ?? []), value];
      secrets.set(secret, versions);
      return `${secret}/versions/${versions.length}`;
    },
    fail(how) {
      failure = how;
    },
    stop: async () => server.forceShutdown(),
  };
}
