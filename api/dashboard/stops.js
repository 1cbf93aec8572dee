// One stop of the Tab key in a long list; arrows, Home and End go from one to the next, as in toolbars (WAI-ARIA).

/**
 * items() are those of the elements below `root` that take the focus, in their order; usual() which of them is the stop where none has
 * had the focus. Gives what is to be called after they were drawn anew.
 */
export function oneStop(root, items, usual = (all) => all[0]) {
  const stopAt = (stop, all = items()) => {
    for (const one of all) one.tabIndex = one === stop ? 0 : -1;
  };
  root.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    const go = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || go === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, go))].focus();
  });
  root.addEventListener("focusin", ({ target }) => {
    const all = items();
    if (all.includes(target)) stopAt(target, all);
  });
  return () => {
    const all = items();
    stopAt(all.find((one) => one === document.activeElement) ?? usual(all), all);
  };
}
