import type { Firestore } from "firebase-admin/firestore";
import type { Command } from "commander";

import { parseServiceConfig, type ServiceConfig } from "../config/config";
import type { ParamValues } from "../config/param-specs";
import { withDeadline } from "../deadline";
import { createLogs } from "../observability/logs";
import { createServices, type Services } from "../services";
import type { CloudAccess } from "./google-cloud";
import { readParamsFile, warnOfOtherFiles } from "./params-file";
import { ProgressBar } from "./progress-bar";
import { redact } from "./table";
import { UsageError } from "./usage-error";

/** What the command line has of the process that runs it. */
export interface Surroundings {
  readonly environment: ParamValues;
  readonly getFirestore: (database: string, projectId?: string) => Firestore;
  /** The project that the environment names. */
  readonly project?: string | undefined;
  /** Address of a server to read secrets from instead of Google's. */
  readonly secretManagerHost?: string | undefined;
  /** Access to Google Cloud's APIs. */
  readonly cloud?: CloudAccess;
  readonly write: (text: string) => void;
  readonly warn: (text: string) => void;
  /** Whether `warn` writes to a terminal, where a line can be drawn over. */
  readonly isTerminal?: boolean | undefined;
}

/** Options that all commands have. */
export interface GlobalOptions {
  readonly envFile?: string;
  readonly project?: string;
  readonly json?: boolean;
}

/** A person waits: long enough to tell slow from away, and to read secrets before connecting. */
const PATIENCE_MS = 1000;
const PATIENCE_WITH_SECRETS_MS = 6000;

/** How long calls to Firestore in progress may delay the end. */
const TERMINATE_TIMEOUT_MS = 1000;

/** One run of the command line: its settings, services and output. */
export class Cli {
  /** Whether a check, or part of the work, has failed. */
  failed = false;
  private readonly opened: Services[] = [];
  private client: Firestore | undefined;
  private values: ParamValues | undefined;

  constructor(private readonly surroundings: Surroundings) {}

  /**
   * The params of --env-file, or else of the environment. Reads the file once, and warns of probable mistakes in it.
   *
   * @throws UsageError
   */
  params(command: Command): ParamValues {
    return (this.values ??= this.readParams(command));
  }

  private readParams(command: Command): ParamValues {
    const { envFile } = command.optsWithGlobals<GlobalOptions>();
    const { environment, warn } = this.surroundings;
    if (envFile === undefined) return environment;
    const { params, warnings } = readParamsFile(envFile);
    const values = { ...environment, ...params };
    for (const warning of [...warnings, ...warnOfOtherFiles(envFile, this.project(command, values))])
      warn(`WARNING --env-file: ${warning}\n`);
    return values;
  }

  /**
   * The services as the params say.
   *
   * @throws ConfigError
   */
  services(command: Command): Services {
    return this.open(parseServiceConfig(this.params(command)), command);
  }

  /** Address of a server to read secrets from instead of Google's. */
  get secretManagerHost(): string | undefined {
    return this.surroundings.secretManagerHost;
  }

  /** The project of Firestore, if it is told: by --project, or by what the connector is named by. */
  project(command: Command, { VPC_CONNECTOR = "" }: ParamValues): string | undefined {
    const { project } = command.optsWithGlobals<GlobalOptions>();
    return project ?? /^projects\/([^/]+)\//.exec(VPC_CONNECTOR)?.[1];
  }

  /** @throws UsageError where there is none */
  cloud(): CloudAccess {
    if (!this.surroundings.cloud) throw new UsageError("--cloud: there are no credentials for Google Cloud");
    return this.surroundings.cloud;
  }

  /** The Firestore client, of the one database that a run uses. */
  firestore(database: string, command: Command): Firestore {
    const { project } = command.optsWithGlobals<GlobalOptions>();
    return (this.client ??= this.surroundings.getFirestore(database, project));
  }

  /** Services of a configuration at hand. Warnings and errors that they log are written, unless `quiet`. */
  open(config: ServiceConfig, command: Command, { quiet = false } = {}): Services {
    const logs = createLogs(({ severity, event, message, ...fields }) => {
      if (quiet || (severity !== "WARNING" && severity !== "ERROR")) return;
      const detail = fields["error"] ?? fields["problem"];
      const more = typeof detail === "string" ? ` (${detail})` : "";
      this.surroundings.warn(redact(`${severity} ${event}: ${message}${more}\n`));
    });
    const getFirestore = () => this.firestore(config.database, command);
    const { secretManagerHost } = this.surroundings;
    const { project = this.surroundings.project } = command.optsWithGlobals<GlobalOptions>();
    const services = createServices(patient(config), getFirestore, logs, secretManagerHost, {
      project,
      canRegister: false,
    });
    this.opened.push(services);
    return services;
  }

  /** Writes a result: as JSON where that was asked for. */
  print(command: Command, result: unknown, text: () => string): void {
    const { json } = command.optsWithGlobals<GlobalOptions>();
    this.surroundings.write(json ? `${JSON.stringify(result, null, 2)}\n` : `${text()}\n`);
  }

  /** Shows how far work has got where somebody looks on; not part of the result. */
  progress(what: string, total: number): ProgressBar {
    const { isTerminal, warn } = this.surroundings;
    return new ProgressBar(isTerminal ? warn : undefined, what, total);
  }

  /** Ends what would keep the process alive. */
  async close(): Promise<void> {
    for (const services of this.opened) services.close();
    const { client } = this;
    if (client !== undefined)
      await withDeadline(client.terminate(), TERMINATE_TIMEOUT_MS, "calls in progress").catch(() => {});
  }
}

function patient(config: ServiceConfig): ServiceConfig {
  const { redis } = config;
  const hasSecrets = Object.values(redis).some((setting) => typeof setting === "object");
  const patienceMs = hasSecrets ? PATIENCE_WITH_SECRETS_MS : PATIENCE_MS;
  return { ...config, redis: { ...redis, timeoutMs: Math.max(redis.timeoutMs, patienceMs) } };
}
