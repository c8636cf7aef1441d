#!/usr/bin/env node
import type { Firestore } from "firebase-admin/firestore";

import { environmentProject, readEnvironment, secretManagerEmulatorHost } from "../config/environment";
import { accessToken } from "../default-app";
import { defaultFirestore } from "../default-firestore";
import { messageWithRemedy, remedyFor } from "../firestore";
import { runCli } from "./program";

// Google's clients report missing credentials, and calls given up at a time limit, also as rejections that nobody
// handles. Whoever waits for such a call gets an error, if only of the time limit.
let isTold = false;
process.on("unhandledRejection", (error) => {
  if (isTold || !(error instanceof Error) || remedyFor(error) === undefined) return;
  isTold = true;
  process.stderr.write(`${messageWithRemedy(error)}\n`);
});

/** A client whose reads fail at once where repeating them is no use. By default it repeats every read twice, for 7 s. */
function getFirestore(database: string, projectId?: string): Firestore {
  const firestore = defaultFirestore(database, projectId);
  // An option of google-gax, which the client passes on: it then repeats only what the API's configuration says.
  firestore.settings({ gaxServerStreamingRetries: true });
  return firestore;
}

// Of a run that ends before its result.
process.exitCode = 1;

void runCli(process.argv.slice(2), {
  environment: readEnvironment(),
  getFirestore,
  project: environmentProject(),
  secretManagerHost: secretManagerEmulatorHost(),
  cloud: { accessToken },
  write: (text) => void process.stdout.write(text),
  warn: (text) => void process.stderr.write(text),
  isTerminal: process.stderr.isTTY,
}).then((exitCode) => {
  // All output is written then. What is still in progress, such as a client's attempts, is not waited for.
  process.stderr.write("", () => process.stdout.write("", () => process.exit(exitCode)));
});
