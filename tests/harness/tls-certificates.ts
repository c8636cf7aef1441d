import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** An authority, and what a server needs whose certificate it has signed. */
export interface TlsCertificates {
  /** The authority's certificate, PEM. */
  readonly ca: string;
  /** Settings of redis-server, which then listens for TLS at this port, and without TLS at its other one. */
  serverArgs(port: number): string[];
}

/**
 * Makes an authority and a certificate for 127.0.0.1 with openssl, in a directory that the test removes.
 *
 * @param options.names the certificate's alternative names; empty for none, as Memorystore's have
 * @param options.commonName whom the certificate names in the old way
 */
export async function makeCertificates(
  directory: string,
  { names = "IP:127.0.0.1", commonName = "redis" }: { names?: string; commonName?: string } = {},
): Promise<TlsCertificates> {
  const file = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => run("openssl", args);
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const authority = ["-x509", "-days", "2", "-subj", "/CN=authority of a test"];
  await openssl("req", ...authority, ...newKey, "-keyout", file("ca.key"), "-out", file("ca.pem"));
  const request = ["-subj", `/CN=${commonName}`, "-keyout", file("server.key"), "-out", file("server.csr")];
  await openssl("req", ...newKey, ...request);
  await writeFile(file("names"), names === "" ? "" : `subjectAltName=${names}`);
  const signers = [
    "-CA",
    file("ca.pem"),
    "-CAkey",
    file("ca.key"),
    "-CAcreateserial",
    "-extfile",
    file("names"),
  ];
  await openssl(
    "x509",
    "-req",
    "-days",
    "2",
    "-in",
    file("server.csr"),
    ...signers,
    "-out",
    file("server.pem"),
  );
  return {
    ca: await readFile(file("ca.pem"), "utf8"),
    serverArgs: (port) =>
      Object.entries({
        "--tls-port": String(port),
        "--tls-cert-file": file("server.pem"),
        "--tls-key-file": file("server.key"),
        "--tls-ca-cert-file": file("ca.pem"),
        "--tls-auth-clients": "no",
      }).flat(),
  };
}
