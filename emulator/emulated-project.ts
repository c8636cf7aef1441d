/** What listens, each on a port of its own. */
export const LISTENERS = [
  "functions",
  "firestore",
  "auth",
  "pubsub",
  "hub",
  "logging",
  "eventarc",
  "tasks",
  "firestoreWebsocket",
] as const;

export type Ports = Record<(typeof LISTENERS)[number], number>;

/** In which of its two forms the product is installed: as an extension, or as a function kit. */
export type Form = "extension" | "kit";

const NAME_PREFIXES: Record<Form, string> = { extension: "ext", kit: "kit" };

export interface ProjectAddress {
  projectId: string;
  form: Form;
  instanceId: string;
  /** The region of the instance's functions. */
  location: string;
  ports: Ports;
}

/** A Firebase project in the emulators, with one instance of the product, as its callers see it. */
export class EmulatedProject {
  readonly address: ProjectAddress;

  constructor(address: ProjectAddress) {
    this.address = address;
  }

  get projectId(): string {
    return this.address.projectId;
  }

  get ports(): Ports {
    return this.address.ports;
  }

  /** `host:port`, as FIRESTORE_EMULATOR_HOST wants it. */
  get firestoreHost(): string {
    return `127.0.0.1:${this.ports.firestore}`;
  }

  /** `host:port`, as FIREBASE_AUTH_EMULATOR_HOST wants it. */
  get authHost(): string {
    return `127.0.0.1:${this.ports.auth}`;
  }

  /** The name under which a function of the instance is deployed. */
  functionName(name: string): string {
    return `${NAME_PREFIXES[this.address.form]}-${this.address.instanceId}-${name}`;
  }

  /** The URL of a callable or HTTPS function of the instance, by its name in extension.yaml. */
  functionUrl(name: string): string {
    return this.#urlOf(this.address.location, this.functionName(name));
  }

  /** The URL of a callable or HTTPS function of the app's own, which set no region. */
  appFunctionUrl(name: string): string {
    return this.#urlOf("us-central1", name);
  }

  #urlOf(location: string, name: string): string {
    const { projectId, ports } = this.address;
    return `http://127.0.0.1:${ports.functions}/${projectId}/${location}/${name}`;
  }

  /** Lets a scheduled function of the instance run now. Returns when it has been asked to, not when it has run. */
  async runSchedule(name: string): Promise<void> {
    const topic = `projects/${this.projectId}/topics/firebase-schedule-${this.functionName(name)}`;
    const response = await fetch(`http://127.0.0.1:${this.ports.pubsub}/v1/${topic}:publish`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ messages: [{ attributes: { scheduled: "true" } }] }),
    });
    if (!response.ok) throw new Error(`${topic}: ${response.status} ${await response.text()}`);
  }
}
