import { element } from "./elements.ts";

const KEY = "theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** Light or dark as the system says, until the button says otherwise; tells when the colours have changed. */
export function followTheme(changed: () => void): void {
  const button = element("theme", HTMLButtonElement);
  const show = (): void => {
    const chosen = localStorage.getItem(KEY);
    const isDark = chosen ? chosen === "dark" : systemIsDark.matches;
    document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
    button.textContent = isDark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use ${isDark ? "light" : "dark"} colours`);
    changed();
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, document.documentElement.dataset["theme"] === "dark" ? "light" : "dark");
    show();
  });
  systemIsDark.addEventListener("change", show);
  show();
}

/** A colour of the theme, by the name of its custom property without the dashes. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
