import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { Form, Ports } from "./emulated-project.ts";

const HOST = "127.0.0.1";

export interface EmulatedInstance {
  form: Form;
  instanceId: string;
  /** The folder of extension.yaml, with that of the kit, functions/, in it. */
  path: string;
  params: Record<string, string>;
}

/** Functions beside the instance: an app's own, or a kit's. */
export interface EmulatedCodebase {
  /** The folder of its package.json. */
  path: string;
  /** What its .env file holds: values, or the text. */
  env: Record<string, string> | string;
  /** Of a kit, the id of its instance. */
  kitInstanceId?: string;
}

const CODEBASE_ENV_DIR = "config-app";

/** Where the CLI looks for an instance's params, from the project's folder. */
const PARAMS_FILES: Record<Form, (instanceId: string) => [dir: string, file: string]> = {
  extension: (instanceId) => ["extensions", `${instanceId}.env`],
  kit: (instanceId) => [`config-${instanceId}`, ".env"],
};

/** Writes the Firebase project that the CLI is started in: an instance of the product, an app's functions, the ports. */
export async function writeProjectDir(
  instance: EmulatedInstance,
  ports: Ports,
  codebase?: EmulatedCodebase,
): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "frq-emulators-"));
  const { extensions, functions = [] } = installed(instance, dir);
  if (codebase) {
    const source = relative(dir, codebase.path);
    const { kitInstanceId } = codebase;
    functions.push(
      kitInstanceId === undefined
        ? { codebase: "app", source, configDir: CODEBASE_ENV_DIR }
        : { kit: "emulated", source, instances: { [kitInstanceId]: CODEBASE_ENV_DIR } },
    );
  }
  const config = {
    ...(extensions && { extensions }),
    ...(functions.length > 0 && { functions }),
    emulators: emulatorsConfig(ports),
  };
  await writeFile(join(dir, "firebase.json"), JSON.stringify(config, null, 2));
  await writeParams(dir, instance, codebase);
  return dir;
}

/** Writes the params of a project's instance and the environment of the functions beside it, over those it has. */
export async function writeParams(
  dir: string,
  instance: EmulatedInstance,
  codebase?: EmulatedCodebase,
): Promise<void> {
  const write = async (folder: string, file: string, text: string): Promise<void> => {
    await mkdir(join(dir, folder), { recursive: true });
    await writeFile(join(dir, folder, file), text);
  };
  await write(...PARAMS_FILES[instance.form](instance.instanceId), envFile(instance.params));
  if (!codebase) return;
  const { env } = codebase;
  await write(CODEBASE_ENV_DIR, ".env", typeof env === "string" ? env : envFile(env));
}

function installed(
  { form, instanceId, path }: EmulatedInstance,
  dir: string,
): { extensions?: object; functions?: object[] } {
  if (form === "extension") return { extensions: { [instanceId]: path } };
  const [configDir] = PARAMS_FILES.kit(instanceId);
  const source = relative(dir, join(path, "functions"));
  return { functions: [{ kit: "emulated", source, instances: { [instanceId]: configDir } }] };
}

function emulatorsConfig(ports: Ports): object {
  const { firestoreWebsocket, ...listeners } = ports;
  const emulators = Object.fromEntries(
    Object.entries(listeners).map(([name, port]) => [name, { host: HOST, port } as Record<string, unknown>]),
  );
  emulators["firestore"]!["websocketPort"] = firestoreWebsocket;
  return { ...emulators, ui: { enabled: false }, singleProjectMode: false };
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
