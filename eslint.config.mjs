import securityRules from "@firebase/eslint-plugin-security-rules";
import tseslint from "typescript-eslint";

const DOMAINS = ["quota", "rate-limit", "session"];
/** The files of the domains that make use of stores. */
const SERVICES = [
  "quota-backfill",
  "quota-inspector",
  "quota-mirror",
  "quota-service",
  "quota-sync",
  "rate-limiter",
  "session-mirror",
  "session-service",
];
/** The files at the top of functions/src that only the entry file knows. */
const ENTRY = [
  "index",
  "lib",
  "testing",
  "context",
  "runtime",
  "services",
  "default-app",
  "default-firestore",
  "backfill-tasks",
  "deployables/.*",
];

const PROCESS = {
  regex: "^(node:)?process$",
  message: "Only config/environment.ts reads the environment.",
};
const IOREDIS = { regex: "^ioredis(/|$)", message: "Only redis/ uses ioredis." };
const FIREBASE_ADMIN = {
  regex: "^firebase-admin(/|$)",
  allowTypeImports: true,
  message: "Only default-app.ts, default-firestore.ts and backfill-tasks.ts use firebase-admin.",
};
const CLIENT_LIBRARY = {
  regex: "^@google-cloud/firestore(/|$)",
  message: "The app's firebase-admin chooses the client library. Import types from firebase-admin/firestore.",
};
const FIREBASE_FUNCTIONS = {
  regex: "^firebase-functions(/|$)",
  message: "What is behind the handlers runs outside of Cloud Functions too.",
};
const PARAMS = {
  regex: "^firebase-functions/params$|^\\./params$|/config/params$",
  message: "Only index.ts, deployables/ and context.ts read params.",
};
const CONFIG = {
  regex: "/config/",
  message: "What is behind the handlers takes options; it does not know where they are set.",
};
const OUTER = {
  regex: `/handlers/|^\\.\\.?/(.*/)?(${ENTRY.join("|")})$`,
  message: "What is behind the handlers knows nothing of them, nor of the composition root.",
};
const REDIS = { regex: "/redis/", message: "Handlers use services; these know of Redis." };
const STORES = {
  regex: "-store$",
  importNamePattern: "Store$",
  message:
    "Handlers use services; these know of stores. Of a store's file, handlers may know errors and types.",
};
const SERVICE_FILES = {
  regex: `/(${SERVICES.join("|")})$`,
  message: "Services use stores and decisions, not the other way round.",
};
const CLI = { regex: "/cli/", message: "Nothing but the command line loads its files." };
const domains = (names, message) => ({ regex: `/(${names.join("|")})/`, message });

/** What files of functions/src may not import. Of several entries for a file the last alone holds. */
const layer = (files, ...patterns) => ({
  files: files.map((file) => `functions/src/${file}`),
  rules: {
    "@typescript-eslint/no-restricted-imports": [
      "error",
      { patterns: [PROCESS, CLI, CLIENT_LIBRARY, ...patterns] },
    ],
  },
});

const BEHIND_HANDLERS = [PARAMS, CONFIG, OUTER, FIREBASE_ADMIN, FIREBASE_FUNCTIONS];

/** Dependencies point from the entry to handlers, services, stores, Redis. */
const LAYERS = [
  layer(["**/*.ts"], IOREDIS, FIREBASE_ADMIN),
  layer(["context.ts"], IOREDIS, FIREBASE_ADMIN),
  layer(["deployables/**/*.ts"], IOREDIS, FIREBASE_ADMIN, {
    regex: "/handlers/|/(context|services)$",
    message: "What deployed functions run is in the one file that is made of runtime.ts.",
  }),
  layer(["services.ts", "lib.ts", "testing.ts"], IOREDIS, FIREBASE_ADMIN, PARAMS, {
    regex: "/handlers/|/(index|context|runtime|deployables/.*)$",
    message: "What an app uses knows nothing of the deployed functions.",
  }),
  layer(["sdk/**/*.ts"], PARAMS, REDIS, STORES, IOREDIS, FIREBASE_ADMIN, {
    regex: "/(index|lib|context|runtime|services|backfill-tasks|deployables/.*)$",
    message: "The SDK's parts are given what they need.",
  }),
  layer(["sdk/sdk.ts"], PARAMS, REDIS, STORES, IOREDIS, FIREBASE_ADMIN),
  layer(["sdk/in-memory.ts"], PARAMS, IOREDIS, FIREBASE_ADMIN),
  layer(["cli/**/*.ts"], IOREDIS, FIREBASE_ADMIN, PARAMS, STORES, {
    regex: "/handlers/|/(index|context|runtime|deployables/.*)$",
    message: "The command line uses services.",
  }),
  layer(["default-app.ts", "default-firestore.ts"], IOREDIS, PARAMS),
  layer(["backfill-tasks.ts"], IOREDIS, PARAMS),
  layer(["handlers/**/*.ts"], PARAMS, REDIS, STORES, IOREDIS, FIREBASE_ADMIN, {
    regex: "/(index|runtime|backfill-tasks|deployables/.*)$",
    message: "Handlers are given what they need.",
  }),
  layer(["config/**/*.ts"], PARAMS, OUTER, REDIS, STORES, IOREDIS, FIREBASE_ADMIN),
  layer(["config/params.ts"], OUTER, REDIS, STORES, IOREDIS, FIREBASE_ADMIN),
  ...DOMAINS.flatMap((domain) => {
    const others = domains(
      DOMAINS.filter((other) => other !== domain),
      "Domains do not import each other.",
    );
    return [
      layer([`${domain}/**/*.ts`], ...BEHIND_HANDLERS, IOREDIS, others, SERVICE_FILES),
      layer(
        SERVICES.map((service) => `${domain}/${service}.ts`),
        ...BEHIND_HANDLERS,
        IOREDIS,
        others,
      ),
    ];
  }),
  layer(
    ["observability/**/*.ts", "validation.ts", "deadline.ts", "lazily.ts", "firestore.ts", "secret.ts"],
    ...BEHIND_HANDLERS,
    IOREDIS,
    domains([...DOMAINS, "redis"], "What all layers use knows none of them."),
  ),
  layer(["redis/**/*.ts"], ...BEHIND_HANDLERS, domains(DOMAINS, "Redis knows nothing of the domains.")),
];

export default tseslint.config(
  { ignores: ["**/node_modules/**", "**/dist/**", "**/*.generated.ts", "**/.tmp/**"] },
  ...tseslint.configs.strict,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      eqeqeq: "error",
      "no-console": "off",
    },
  },
  {
    files: ["**/*.cjs"],
    languageOptions: { globals: { require: "readonly", exports: "writable" } },
    rules: { "@typescript-eslint/no-require-imports": "off" },
  },
  {
    files: ["functions/src/**/*.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-properties": [
        "error",
        { object: "process", property: "env", message: PROCESS.message },
        { object: "globalThis", property: "process", message: PROCESS.message },
        { object: "global", property: "process", message: PROCESS.message },
      ],
    },
  },
  {
    files: ["functions/src/**/*.ts", "emulator/**/*.ts", "tests/**/*.ts", "demo/**/*.ts", "bench/**/*.ts"],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
    },
  },
  ...LAYERS,
  // By the grammar that Firebase itself uses.
  securityRules.configs["flat/recommended"],
);
