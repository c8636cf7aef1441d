#!/usr/bin/env node
import { readEnvironment, secretManagerEmulatorHost } from "../config/environment";
import { defaultFirestore } from "../default-firestore";
import { runCli } from "./program";

void runCli(process.argv.slice(2), {
  environment: readEnvironment(),
  getFirestore: defaultFirestore,
  secretManagerHost: secretManagerEmulatorHost(),
  write: (text) => void process.stdout.write(text),
  warn: (text) => void process.stderr.write(text),
}).then((exitCode) => {
  process.exitCode = exitCode;
});
