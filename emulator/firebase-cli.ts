/**
 * Runs the unmodified Firebase CLI with its Firestore and Pub/Sub emulators replaced by the stand-ins of this folder,
 * which need neither a download nor Java.
 *
 * @example node emulator/firebase-cli.ts emulators:start --only functions,firestore,auth --project demo-example
 */
import { replaceInCli, runCli } from "./firebase-tools.ts";
import { StandInFirestoreEmulator } from "./firestore-emulator.ts";
import { StandInPubsubEmulator } from "./pubsub/pubsub-emulator.ts";

const JAVA_THAT_THE_CLI_ASKS_FOR = 21;

replaceInCli("emulator/commandUtils", { checkJavaMajorVersion: async () => JAVA_THAT_THE_CLI_ASKS_FOR });
replaceInCli("emulator/firestoreEmulator", { FirestoreEmulator: StandInFirestoreEmulator });
replaceInCli("emulator/pubsubEmulator", { PubsubEmulator: StandInPubsubEmulator });
runCli();
