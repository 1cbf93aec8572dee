// Runs before the first paint, so that a chosen colour scheme does not flash.
(function () {
  "use strict";
  try {
    const theme = localStorage.getItem("bifurcated-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // storage may be switched off: the system's colours, then
  }
})();
