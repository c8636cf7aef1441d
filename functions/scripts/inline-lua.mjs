/**
 * Inlines every src/<domain>/lua/*.lua into src/redis/lua.generated.ts, with its SHA-1 and the names that its header
 * gives to KEYS and ARGV, after checking that header and body agree.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { parseScript } from "./lua-script.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

const scripts = globSync("src/*/lua/*.lua", { cwd: root })
  .sort()
  .map((file) => {
    const [, domain, , base] = file.split(path.sep);
    return parseScript(
      `${domain}/${path.basename(base, ".lua")}`,
      readFileSync(path.join(root, file), "utf8"),
      (name) => readFileSync(path.join(root, path.dirname(file), "include", `${name}.lua`), "utf8"),
    );
  });
const exportName = (name) => name.split("/")[1].replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
const code = [
  "// Made by scripts/inline-lua.mjs from the *.lua files; change those.",
  ...scripts.map(
    (script) => `export const ${exportName(script.name)} = ${JSON.stringify(script, null, 2)} as const;`,
  ),
].join("\n\n");
writeFileSync(path.join(root, "src/redis/lua.generated.ts"), `${code}\n`);
