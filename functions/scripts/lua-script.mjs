import { createHash } from "node:crypto";

const MAX_LINES = 100;

/**
 * Reads one script and its header. A line "Include: name" at the end of the header stands for the text of
 * include/name.lua, which several scripts share.
 *
 * @param {string} name the domain and the file's name, as in quota/apply-snapshot
 * @param {string} source the Lua text
 * @param {(name: string) => string} include reads a text to include
 * @throws {Error} listing everything in which header and body disagree
 */
export function parseScript(name, source, include = missing) {
  const problems = [];
  const lines = source.split("\n");
  const bodyStart = lines.findIndex((line) => !line.startsWith("--"));
  const header = lines.slice(0, bodyStart).map((line) => line.replace(/^-- ?/, ""));
  const included = /^Include: (\S+)$/.exec(header.at(-1))?.[1];
  const body = [...(included ? include(included).split("\n") : []), ...lines.slice(bodyStart)]
    .map((line) => line.replace(/--.*$/, ""))
    .join("\n");

  if (lines.length > MAX_LINES) problems.push(`has ${lines.length} lines, more than ${MAX_LINES}`);
  const purpose = header.slice(0, header.indexOf("")).join(" ");
  if (!/^[A-Z].*[.]$/.test(purpose)) problems.push("the header does not begin with a sentence of purpose");
  for (const section of ["Returns", "Writes", "TTL"]) {
    if (!header.some((line) => line.startsWith(`${section}: `)))
      problems.push(`the header lacks "${section}:"`);
  }

  const declared = (array) =>
    header.flatMap((line) => {
      const match = new RegExp(`^${array}\\[(\\d+|\\*)\\] (\\w+): .+`).exec(line);
      return match ? [{ index: match[1], name: match[2] }] : [];
    });
  const check = (array) => {
    const entries = declared(array);
    const fixed = entries.filter(({ index }) => index !== "*");
    const rest = entries.find(({ index }) => index === "*")?.name;
    fixed.forEach(({ index, name: parameter }, i) => {
      if (Number(index) !== i + 1) problems.push(`${array}[${index}] is out of order`);
      const named = new RegExp(`local ${parameter} = [^\\n]*${array}\\[${index}\\]`);
      if (!named.test(body)) problems.push(`the body does not name ${array}[${index}] ${parameter}`);
    });
    if (entries.findIndex(({ index }) => index === "*") !== -1 && entries.at(-1)?.index !== "*") {
      problems.push(`${array}[*] is not the last`);
    }
    for (const [, index] of body.matchAll(new RegExp(`${array}\\[(\\d+)\\]`, "g"))) {
      if (!fixed.some((entry) => entry.index === index))
        problems.push(`the header does not declare ${array}[${index}]`);
    }
    const usesRest = new RegExp(`#${array}\\b|${array}\\[(?!\\d+\\])|ipairs\\(${array}\\)`).test(body);
    if (usesRest !== (rest !== undefined))
      problems.push(`${array}[*] is in ${usesRest ? "the body" : "the header"} only`);
    return { names: fixed.map((entry) => entry.name), rest };
  };

  const keys = check("KEYS");
  const args = check("ARGV");
  if (problems.length > 0) throw new Error(`${name}.lua:\n  ${problems.join("\n  ")}`);
  const text = body.replace(/\n\s*\n/g, "\n").trim();
  return {
    name,
    source: text,
    sha1: createHash("sha1").update(text).digest("hex"),
    keys: keys.names,
    restKeys: keys.rest ?? null,
    args: args.names,
    restArgs: args.rest ?? null,
  };
}

function missing(name) {
  throw new Error(`nothing to include under the name ${name}`);
}
