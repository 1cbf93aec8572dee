// Series that a sweep is filling are read again as it goes on: one request at a time, however slow the daemon is, and none while nobody looks.

const REFRESH_MS = 1500; // between two readings of a series
const WHOLE_MS = 10_000; // the same for its verdicts and pictures

const live = new Map(); // model → { timer, isBusy, isWanted, isOver }: events do not pile up requests
const missed = new Map(); // model → whether its sweep is over: what changed while nobody looked
const wholeAt = new Map(); // model → when its verdicts and pictures were asked for last
let page = { isShown: () => false, load: async () => {}, failed() {} };

/** The verdicts and pictures of these models are asked for now. */
export const noteWhole = (names) => names.forEach((name) => wholeAt.set(name, performance.now()));

/** After an event of a model's sweep, which may have been its last. */
export function loadSoon(name, isOver) {
  const one = live.get(name) ?? {};
  live.set(name, one);
  one.isWanted = true;
  one.isOver ||= isOver;
  if (one.isBusy || (one.timer && !isOver)) return; // afterwards
  clearTimeout(one.timer);
  one.timer = setTimeout(() => loadNow(name, one).catch(page.failed), isOver ? 0 : REFRESH_MS);
}

async function loadNow(name, one) {
  const { isOver } = one;
  Object.assign(one, { timer: 0, isBusy: true, isWanted: false, isOver: false });
  try {
    if (document.hidden) missed.set(name, isOver || missed.get(name));
    else if (page.isShown(name)) await page.load(name, isOver || !(performance.now() - wholeAt.get(name) < WHOLE_MS));
  } finally { // whatever went wrong, the next event counts
    one.isBusy = false;
    if (one.isWanted) loadSoon(name, one.isOver);
    else live.delete(name);
  }
}

function catchUp() {
  if (document.hidden) return;
  for (const [name, isOver] of missed) loadSoon(name, isOver);
  missed.clear();
}

/** isShown(name): whether a model is on the page; load(name, isWhole) reads and draws it; failed(error) says what it met. */
export function setUpLive(told) {
  page = told;
  document.addEventListener("visibilitychange", catchUp);
}
