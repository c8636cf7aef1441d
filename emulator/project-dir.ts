import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Ports } from "./emulated-project.ts";

const HOST = "127.0.0.1";

export interface EmulatedExtension {
  instanceId: string;
  /** The folder of extension.yaml. */
  path: string;
  params: Record<string, string>;
}

/** Writes the Firebase project that the CLI is started in: one extension instance and the emulators' ports. */
export async function writeProjectDir(extension: EmulatedExtension, ports: Ports): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "frq-emulators-"));
  await mkdir(join(dir, "extensions"));
  await writeFile(join(dir, "firebase.json"), JSON.stringify(firebaseJson(extension, ports), null, 2));
  await writeFile(join(dir, "extensions", `${extension.instanceId}.env`), envFile(extension.params));
  return dir;
}

function firebaseJson({ instanceId, path }: EmulatedExtension, ports: Ports): object {
  const { firestoreWebsocket, ...listeners } = ports;
  const emulators = Object.fromEntries(
    Object.entries(listeners).map(([name, port]) => [name, { host: HOST, port } as Record<string, unknown>]),
  );
  emulators["firestore"]!["websocketPort"] = firestoreWebsocket;
  return {
    extensions: { [instanceId]: path },
    emulators: { ...emulators, ui: { enabled: false }, singleProjectMode: false },
  };
}

/** Params as the CLI reads them: double-quoted, with its escapes. */
export function envFile(params: Record<string, string>): string {
  const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  return Object.entries(params)
    .map(([name, value]) => {
      const quoted = value.replace(/[\n\r\t\\'"]/g, (character) => escapes[character] ?? `\\${character}`);
      return `${name}="${quoted}"\n`;
    })
    .join("");
}
