import tseslint from "typescript-eslint";

/** The layers of functions/src, and what each may not import: dependencies point from handlers to services to stores. */
const DOMAINS = ["quota", "rate-limit"];

const forbid = (files, ...patterns) => ({
  files,
  rules: {
    "no-restricted-imports": [
      "error",
      { patterns: patterns.map(({ group, message }) => ({ group, message })) },
    ],
  },
});

const PARAMS = { group: ["**/config/params"], message: "Only index.ts and context.ts read params." };
const OUTER = {
  group: ["**/handlers/*", "**/context", "**/index"],
  message: "Domains and adapters know nothing of handlers and the composition root.",
};
const CONFIG = {
  group: ["**/config/*"],
  message: "A domain takes options; it does not know where they are set.",
};
const FIREBASE_FUNCTIONS = {
  group: ["firebase-functions", "firebase-functions/*"],
  message: "Domains run outside of Cloud Functions too.",
};

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
    files: ["functions/src/**/*.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-properties": [
        "error",
        { object: "process", property: "env", message: "Only config/params.ts reads the environment." },
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
  forbid(["functions/src/handlers/**/*.ts"], PARAMS),
  forbid(
    ["functions/src/{redis,observability}/**/*.ts", "functions/src/{validation,deadline}.ts"],
    PARAMS,
    OUTER,
    CONFIG,
    FIREBASE_FUNCTIONS,
    {
      group: DOMAINS.map((domain) => `**/${domain}/*`),
      message: "Adapters know nothing of the domains.",
    },
  ),
  ...DOMAINS.map((domain) =>
    forbid([`functions/src/${domain}/**/*.ts`], PARAMS, OUTER, CONFIG, FIREBASE_FUNCTIONS, {
      group: DOMAINS.filter((other) => other !== domain).map((other) => `**/${other}/*`),
      message: "Domains do not import each other.",
    }),
  ),
);
