#!/usr/bin/env node
import { readEnvironment, secretManagerEmulatorHost } from "../config/environment";
import { accessToken } from "../default-app";
import { defaultFirestore } from "../default-firestore";
import { runCli } from "./program";

void runCli(process.argv.slice(2), {
  environment: readEnvironment(),
  getFirestore: defaultFirestore,
  secretManagerHost: secretManagerEmulatorHost(),
  cloud: { accessToken },
  write: (text) => void process.stdout.write(text),
  warn: (text) => void process.stderr.write(text),
  isTerminal: process.stderr.isTTY,
}).then((exitCode) => {
  process.exitCode = exitCode;
});
