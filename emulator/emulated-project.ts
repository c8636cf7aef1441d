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

export interface ProjectAddress {
  projectId: string;
  instanceId: string;
  /** The region of the extension's functions. */
  location: string;
  ports: Ports;
}

/** A Firebase project in the emulators, with one extension instance, as its callers see it. */
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

  /** The name under which a function of the extension is deployed. */
  functionName(name: string): string {
    return `ext-${this.address.instanceId}-${name}`;
  }

  /** The URL of a callable or HTTPS function of the extension, by its name in extension.yaml. */
  functionUrl(name: string): string {
    const { projectId, location, ports } = this.address;
    return `http://127.0.0.1:${ports.functions}/${projectId}/${location}/${this.functionName(name)}`;
  }

  /** Lets a scheduled function of the extension run now. Returns when it has been asked to, not when it has run. */
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
