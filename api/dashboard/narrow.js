// What stands where in a window too narrow for two columns: sweeps that are over and watches below the charts. They are moved and not
// only drawn there, so that the keyboard and those who have the page read to them meet everything in the order in which it is seen.

const narrow = matchMedia("(max-width: 860px)");
let isAtWork = () => false;
export const isNarrow = () => narrow.matches;

/** Where it stands already, it is not touched: moving an element takes the focus from it. */
function put(node, parent, next) {
  if (node.parentElement === parent && node.nextElementSibling === next) return;
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, next);
  focused?.focus({ preventScroll: true });
}

/** Puts everything in its place; sweeps at work stay above the charts. */
export function arrange() {
  const [aside, below, sweeps, watches, operations] = ["beside", "below", "sweeps-section", "watches", "to-operations"].map((id) => document.getElementById(id));
  put(watches, narrow.matches ? below : aside, narrow.matches ? null : operations);
  if (narrow.matches && !isAtWork()) put(sweeps, below, watches);
  else put(sweeps, aside, narrow.matches ? operations : watches);
}

/** atWork() says whether any sweep is at work. */
export function setUpNarrow(atWork) {
  isAtWork = atWork;
  narrow.addEventListener("change", arrange);
  arrange();
}
