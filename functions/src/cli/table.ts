/** Rows in columns that line up. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Horizontal bars, the longest of them `width` wide. */
export function barChart(
  bars: readonly { readonly label: string; readonly value: number }[],
  width = 40,
): string {
  const most = Math.max(...bars.map(({ value }) => value), 1e-9);
  return table(
    bars.map(({ label, value }) => [
      label,
      "█".repeat(value > 0 ? Math.max(1, Math.round((value / most) * width)) : 0).padEnd(width),
      `$${value.toFixed(2)}`,
    ]),
  );
}

/** A text without the user and the password that an address in it may hold. */
export function redact(text: string): string {
  return text.replace(/\/\/[^/\s"]*@/g, "//***@");
}
