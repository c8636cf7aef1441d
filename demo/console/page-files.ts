import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const PAGE = join(import.meta.dirname, "..", "page");
const ICON = join(import.meta.dirname, "..", "..", "docs", "images", "icon.svg");
/** Browsers of the last years: nothing is rewritten for older ones. */
const TARGET = "es2022";

export interface PageFile {
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** The page's files by their paths; its modules and styles are bundled, with those of the packages they use. */
export async function buildPage(): Promise<Map<string, PageFile>> {
  const { outputFiles } = await build({
    entryPoints: [
      { in: join(PAGE, "main.ts"), out: "page" },
      { in: join(PAGE, "page.css"), out: "page" },
    ],
    outdir: PAGE, // only gives the files their names
    bundle: true,
    write: false,
    format: "esm",
    target: TARGET,
    platform: "browser",
    conditions: ["browser"],
    legalComments: "none",
    logLevel: "silent", // what fails is thrown, with all messages
  });
  const bundled = (extension: string): Uint8Array =>
    outputFiles.find(({ path }) => path.endsWith(extension))!.contents;
  return new Map([
    ["/", { contentType: "text/html; charset=utf-8", body: await readFile(join(PAGE, "index.html")) }],
    ["/page.js", { contentType: "text/javascript; charset=utf-8", body: bundled(".js") }],
    ["/page.css", { contentType: "text/css; charset=utf-8", body: bundled(".css") }],
    ["/icon.svg", { contentType: "image/svg+xml", body: await readFile(ICON) }],
  ]);
}
