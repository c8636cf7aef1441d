/** One pair of bars. */
export interface Pair {
  readonly name: string;
  readonly ours: number;
  readonly theirs: number;
}

export interface BarChart {
  readonly title: string;
  /** What was measured on what. */
  readonly caption: string;
  readonly legend: { readonly ours: string; readonly theirs: string };
  readonly pairs: readonly Pair[];
}

const WIDTH = 760;
const LEFT = 170;
const RIGHT = 130;
const BAR = 12;
const ROW = 42;
const TOP = 84;

/** Draws pairs of horizontal bars as SVG, readable on light and dark pages. */
export function drawBarChart({ title, caption, legend, pairs }: BarChart): string {
  const height = TOP + pairs.length * ROW + 34;
  const most = Math.max(...pairs.flatMap(({ ours, theirs }) => [ours, theirs]));
  const scale = (WIDTH - LEFT - RIGHT) / most;
  const rows = pairs.map(({ name, ours, theirs }, i) => {
    const y = TOP + i * ROW;
    return [
      text(LEFT - 12, y + BAR + 4, name, 'text-anchor="end"'),
      bar("ours", y, ours * scale),
      text(LEFT + ours * scale + 6, y + BAR - 2, `${thousands(ours)} (${(ours / theirs).toFixed(1)} x)`),
      bar("theirs", y + BAR + 2, theirs * scale),
      text(LEFT + theirs * scale + 6, y + 2 * BAR, thousands(theirs), 'class="quiet"'),
    ].join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .quiet { fill: #59636e }
  .ours { fill: #c0392b }
  .theirs { fill: #8b98a5 }
  .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .quiet { fill: #9198a1 }
    .ours { fill: #ff6b57 }
    .theirs { fill: #6e7781 }
    .page { fill: #0d1117 }
  }
</style>
<rect class="page" width="100%" height="100%"/>
${text(16, 26, title, 'class="title"')}
<rect class="ours" x="16" y="44" width="12" height="12"/>${text(34, 54, legend.ours)}
<rect class="theirs" x="${WIDTH / 2}" y="44" width="12" height="12"/>${text(WIDTH / 2 + 18, 54, legend.theirs)}
${rows.join("\n")}
${text(16, height - 12, caption, 'class="quiet"')}
</svg>
`;
}

function bar(kind: "ours" | "theirs", y: number, length: number): string {
  return `<rect class="${kind}" x="${LEFT}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" rx="2"/>`;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y}"${attributes && ` ${attributes}`}>${escaped(content)}</text>`;
}

function thousands(figure: number): string {
  return Math.round(figure).toLocaleString("en-US");
}

function escaped(content: string): string {
  return content.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
