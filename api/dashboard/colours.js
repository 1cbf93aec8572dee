// Colours and signs of models and lines. Models differ in colour and in the shape of their points; the colours
// differ in lightness too, the first four clearly so to people who cannot tell red from green.

import { element } from "./format.js";

const PALETTE = {
  light: ["#0b62b8", "#d1570a", "#111827", "#1d97a8", "#8e44ad", "#8a6d00", "#d0488a", "#6b7280"],
  dark: ["#5aa9ff", "#ff9a57", "#f3f4f6", "#35d3c0", "#c79bff", "#e3c04a", "#ff8fc4", "#9aa4b2"],
};
const MARKERS = ["circle", "rect", "triangle", "crossRot", "star", "cross", "line", "dash"];
const SIGNS = ["●", "■", "▲", "✕", "✱", "✚", "━", "╍"]; // the same, for legends

export const DASHES = { dash: [6, 4], dot: [2, 3] };

/** A colour of the style sheet: colour("muted"). */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";

export function modelColour(index) {
  const colours = isDark() ? PALETTE.dark : PALETTE.light;
  return colours[index % colours.length];
}

/** From the ninth model on colours return with other shapes: 64 models differ in one of the two. */
const shape = (index) => (index + Math.floor(index / MARKERS.length)) % MARKERS.length;
export const modelMarker = (index) => MARKERS[shape(index)];
export const modelSign = (index) => SIGNS[shape(index)];

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
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  label();
}
