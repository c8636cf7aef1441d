/**
 * Writes the tables of params in the documents from extension.yaml: in docs/params.md with all that the form says, in the
 * README with the first sentence of it.
 *
 * Usage: npm run docs
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { parse } from "yaml";
import { ROOT } from "./processes.mjs";

const BEGIN = "<!-- Made by npm run docs from extension.yaml. -->";
const END = "<!-- End of what was made. -->";

const oneLine = (text) => text.replaceAll(/\s+/g, " ").trim();
const firstSentence = (text) => text.split(/(?<=\.) (?=[A-Z`])/)[0];
const cell = (text) => text.replaceAll("|", "\\|");

function values({ type, options, default: fallback, required }) {
  if (type === "select") return options.map(({ value }) => `\`${value}\``).join(", ");
  return required || fallback !== undefined ? "" : "may be empty";
}

function rows(columns, params) {
  const header = Object.keys(columns);
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const body = params.map((param) => line(Object.values(columns).map((of) => cell(of(param)))));
  return [line(header), line(header.map(() => "---")), ...body].join("\n");
}

const name = ({ param }) => `\`${param}\``;
const fallback = ({ default: value }) => (value === undefined ? "—" : `\`${value}\``);

/** The text of a document with its table of params as extension.yaml has them. */
async function withTable(path, columns, params) {
  const file = join(ROOT, path);
  const document = readFileSync(file, "utf8");
  const start = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (start === -1 || end < start) throw new Error(`${path} lacks the lines ${BEGIN} and ${END}`);
  const table = rows(columns, params);
  const text = `${document.slice(0, start)}${BEGIN}\n\n${table}\n\n${document.slice(end)}`;
  return format(text, { ...(await resolveConfig(file)), parser: "markdown" });
}

/** The documents with such a table, by their paths, as they should be. */
export async function documentsWithParams() {
  const { params } = parse(readFileSync(join(ROOT, "extension.yaml"), "utf8"));
  const what = ({ description }) => oneLine(description);
  const tables = {
    "README.md": { Param: name, Default: fallback, "What it sets": (param) => firstSentence(what(param)) },
    "docs/params.md": { Param: name, Default: fallback, "What it sets": what, Values: values },
  };
  const written = Object.entries(tables).map(async ([path, columns]) => [
    path,
    await withTable(path, columns, params),
  ]);
  return Object.fromEntries(await Promise.all(written));
}

if (import.meta.filename === process.argv[1])
  for (const [path, text] of Object.entries(await documentsWithParams()))
    writeFileSync(join(ROOT, path), text);
