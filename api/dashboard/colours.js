// Colours of the page, light and dark, and the dashes of quantities.

import { element } from "./format.js";

export const DASHES = { dash: [6, 4], dot: [2, 3] };

/** A colour of the style sheet: colour("muted"). */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Of the page as it is seen: colours that the system forces say nothing of themselves in `color-scheme`. */
export function isDark() {
  const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

export const fade = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");

export const font = () => getComputedStyle(document.body).fontFamily;

const THEMES = { auto: ["◐", " Auto"], light: ["○", " Light"], dark: ["●", " Dark"] };

/** The button that chooses light, dark or the system's colours; redraw() is called once they are others. */
export function setUpTheme(redraw) {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const name = () => root.dataset.theme || "auto";
  const label = () => {
    const [sign, word] = THEMES[name()];
    button.replaceChildren(sign, element("span", {}, word));
    button.setAttribute("aria-label", `Colours: ${name() === "auto" ? "as the system" : name()}`);
  };
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(name()) + 1) % names.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("bifurcated-theme", next);
    } catch {
      // not kept, then
    }
    label();
    redraw();
  });
  for (const what of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) matchMedia(what).addEventListener("change", redraw);
  label();
}
