// Colours and signs of models and lines. Models differ in colour and in the shape of their points; the colours can
// be told apart with the common kinds of colour blindness (after Okabe and Ito, darkened until they stand out on white).

const PALETTE = {
  light: ["#0b62b8", "#c8500a", "#0a7f62", "#9b3f8f", "#8a6400", "#1b86b8", "#6b2410", "#4b5563"],
  dark: ["#5aa9ff", "#ff9a57", "#3fd0a6", "#e39bd6", "#e6b845", "#7fd4f5", "#e08a73", "#a9b4c2"],
};
const MARKERS = ["circle", "rect", "triangle", "crossRot", "star", "cross", "line", "dash"];

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

export const modelMarker = (index) => MARKERS[index % MARKERS.length];

export const fade = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");

export const font = () => getComputedStyle(document.body).fontFamily;
