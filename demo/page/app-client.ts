import { initializeApp } from "firebase/app";
import {
  connectAuthEmulator,
  initializeAuth,
  inMemoryPersistence,
  signInWithCustomToken,
} from "firebase/auth";
import { connectFunctionsEmulator, getFunctions, httpsCallable } from "firebase/functions";
import type { AppAddress } from "../console/messages.ts";
import type { QuotaConsumption } from "../../functions/dist/quota/quota-service.js";
import type { Decision } from "../../functions/dist/rate-limit/decision.js";
import type { Status } from "../../functions/dist/handlers/get-status.js";

/** An answer, and how long it took from the click to the parsed answer. */
export interface Timed<Answer> {
  readonly answer: Answer;
  readonly ms: number;
}

/** The app's client: calls the deployed callables with the Firebase SDK, signed in with the Auth emulator. */
export interface AppClient {
  consumeQuota(providerId: string): Promise<Timed<QuotaConsumption>>;
  checkRateLimit(policy: string): Promise<Timed<Decision>>;
  getStatus(): Promise<Timed<Status>>;
}

const HOST = "127.0.0.1";

/** Signs in, and returns the client. */
export async function connectApp(address: AppAddress): Promise<AppClient> {
  const app = initializeApp({ projectId: address.projectId, apiKey: "any" });
  const auth = initializeAuth(app, { persistence: inMemoryPersistence });
  connectAuthEmulator(auth, address.authUrl, { disableWarnings: true });
  await signInWithCustomToken(auth, address.customToken);

  const functions = getFunctions(app, address.location);
  connectFunctionsEmulator(functions, HOST, address.functionsPort);
  const callable = <Ask, Answer>(name: keyof AppAddress["functionNames"]) => {
    const call = httpsCallable<Ask, Answer>(functions, address.functionNames[name]);
    return async (data: Ask): Promise<Timed<Answer>> => {
      const startedAt = performance.now();
      const { data: answer } = await call(data);
      return { answer, ms: performance.now() - startedAt };
    };
  };
  const consume = callable<{ providerId: string }, QuotaConsumption>("consumeQuota");
  const check = callable<{ policy: string }, Decision>("checkRateLimit");
  const status = callable<Record<never, never>, Status>("getStatus");
  return {
    consumeQuota: (providerId) => consume({ providerId }),
    checkRateLimit: (policy) => check({ policy }),
    getStatus: () => status({}),
  };
}
