// The REST interface of the daemon.

import { hearTime } from "./format.js";

/** What the service refused, as application/problem+json says it. */
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `status ${status}`);
    this.status = status;
    this.field = problem.field || "";
  }
}

/** No answer came: the daemon is not there, or the way to it is cut. */
export class Unreachable extends Error {}

/** Series of thousands of revisions come in one answer, which the daemon makes once, and not one page after the other. */
export const REVISIONS_PAGE = 5000;

const ANSWER_MS = 120_000; // what has no answer by then will have none: a machine that slept, a tunnel that hangs
const SILENCE_MS = 50_000; // a stream of events says something every 15 s

/**
 * Answers may overtake each other. begin = turns(); isNewer = begin() before a request; where isNewer() is false after its
 * answer, that of a later request has been taken already.
 */
export function turns() {
  let begun = 0;
  let taken = 0;
  return () => {
    const turn = ++begun;
    return () => turn > taken && Boolean(taken = turn);
  };
}

const KEPT = "bifurcated-token"; // as long as the tab is open
let token = "";
try {
  token = sessionStorage.getItem(KEPT) || "";
} catch {
  // storage may be switched off: asked for again after a reload, then
}

export function setToken(value) {
  token = value;
  try {
    sessionStorage.setItem(KEPT, value);
  } catch {
    // as above
  }
}

export const hasToken = () => token !== "";

/** `trial`: a token that is not kept yet. */
const headersOf = (headers, trial = token) => (trial ? { Authorization: `Bearer ${trial}`, ...headers } : headers);

/** Where a path of the daemon is to be had: a proxy may have put all of it beneath a path of its own. */
export const addressOf = (path) => location.pathname.replace(/[^/]*$/, "") + path.slice(1);

/** What read(answer) makes of an answer that has come whole. */
async function send(path, options, read) {
  try {
    const answer = await fetch(addressOf(path), { ...options, signal: AbortSignal.timeout(ANSWER_MS) });
    hearTime(answer.headers.get("Date"));
    return [answer, await read(answer)];
  } catch {
    throw new Unreachable("The daemon does not answer.");
  }
}

async function ask(path, options = {}, trial = undefined) {
  const headers = headersOf({ Accept: "application/json", ...options.headers }, trial);
  const [answer, text] = await send(path, { ...options, headers }, (one) => one.text());
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    // not JSON: an intermediary answered
  }
  if (!answer.ok) throw new Problem(answer.status, value || {});
  return value;
}

export const get = (path, trial) => ask(path, {}, trial);

/** As get, but null where the resource or the route does not exist. */
export async function getIfThere(path) {
  try {
    return await ask(path);
  } catch (error) {
    if (error instanceof Problem && (error.status === 404 || error.status === 501)) return null;
    throw error;
  }
}

export function write(method, path, value, trial) {
  const headers = value === undefined ? {} : { "Content-Type": "application/json" };
  return ask(path, { method, headers, body: value === undefined ? undefined : JSON.stringify(value) }, trial);
}

/** An answer as a file, with a token where there is one. Pages of CSV become one: each begins with the names of the columns. */
export async function fetchBlob(path) {
  const parts = [];
  for (let next = path; next;) {
    const [answer, blob] = await send(next, { headers: headersOf({}) }, (one) => one.blob());
    if (!answer.ok) {
      const problem = await blob.text().then(JSON.parse).catch(() => ({}));
      throw new Problem(answer.status, { detail: `${path}: status ${answer.status}`, ...problem });
    }
    parts.push(parts.length ? (await blob.text()).replace(/^[^\n]*\n/, "") : blob);
    next = answer.headers.get("Link")?.match(/<([^>]+)>; rel="next"/)?.[1];
  }
  return new Blob(parts, { type: parts[0].type });
}

/**
 * Server-sent events: take(event, data) for each until the stream ends; the result of the call ends it early. An
 * EventSource could not carry the token. A stream that is silent for too long has lost its other end.
 */
export function stream(path, take, ended) {
  const stop = new AbortController();
  let timer = 0;
  const listen = (part) => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), SILENCE_MS);
    return part;
  };
  (async () => {
    const answer = await listen(fetch(addressOf(path), { headers: headersOf({ Accept: "text/event-stream" }), signal: stop.signal }));
    if (!answer.ok) {
      stop.abort();
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part = await listen(reader.read()); !part.done; part = await listen(reader.read())) {
      const events = (rest + part.value).split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) {
        const field = (name) => event.split(/\r?\n/).filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart()).join("\n");
        if (field("data")) take(field("event") || "message", field("data"));
      }
    }
  })().catch(() => {}).finally(() => {
    clearTimeout(timer);
    ended();
  });
  return () => stop.abort();
}

/** The address of a model: owner/name, or file/%2Ffolder. */
export function modelPath(name) {
  const at = name.startsWith("file:") ? 4 : name.indexOf("/");
  return `/v1/models/${encodeURIComponent(name.slice(0, at))}/${encodeURIComponent(name.slice(at + 1))}`;
}

/** The same of a watch. */
export const watchPath = (name) => modelPath(name).replace("/v1/models/", "/v1/watches/");

/** A paged answer whole: what its first page says, with all members of the list and all names of what is damaged; whatever ask(path) says where there is none. */
export async function whole(path, member, ask = get) {
  const first = await ask(path);
  for (let cursor = first?.next_cursor; cursor;) {
    const page = await ask(`${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`);
    first[member].push(...(page?.[member] ?? []));
    first.damaged?.push(...(page?.damaged ?? []));
    cursor = page?.next_cursor;
  }
  return first;
}

/** All members of a paged list. */
export const all = async (path, member, trial) => (await whole(path, member, (page) => get(page, trial)))[member];
