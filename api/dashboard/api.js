// The REST interface of the daemon.

/** What the service refused, as application/problem+json says it. */
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `status ${status}`);
    this.status = status;
    this.field = problem.field || "";
  }
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

async function ask(path, options = {}, trial = undefined) {
  const answer = await fetch(path, { ...options, headers: headersOf({ Accept: "application/json", ...options.headers }, trial) });
  const text = await answer.text();
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

/** An answer as a file, where a link could not carry the token. */
export async function fetchBlob(path) {
  const answer = await fetch(path, { headers: headersOf({}) });
  if (!answer.ok) throw new Problem(answer.status, { detail: `${path}: status ${answer.status}` });
  return answer.blob();
}

/**
 * Server-sent events: take(event, data) for each until the stream ends; the result of the call ends it early. An
 * EventSource could not carry the token.
 */
export function stream(path, take, ended) {
  const stop = new AbortController();
  (async () => {
    const answer = await fetch(path, { headers: headersOf({ Accept: "text/event-stream" }), signal: stop.signal });
    if (!answer.ok) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const events = (rest + part.value).split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) {
        const field = (name) => event.split(/\r?\n/).filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart()).join("\n");
        if (field("data")) take(field("event") || "message", field("data"));
      }
    }
  })().catch(() => {}).finally(ended);
  return () => stop.abort();
}

/** The address of a model: owner/name, or file/%2Ffolder. */
export function modelPath(name) {
  const at = name.startsWith("file:") ? 4 : name.indexOf("/");
  return `/v1/models/${encodeURIComponent(name.slice(0, at))}/${encodeURIComponent(name.slice(at + 1))}`;
}

/** The same of a watch. */
export const watchPath = (name) => modelPath(name).replace("/v1/models/", "/v1/watches/");

/** All members of a paged list. */
export async function all(path, member, trial) {
  const rows = [];
  let cursor = "";
  do {
    const joint = path.includes("?") ? "&" : "?";
    const page = await get(path + (cursor ? `${joint}cursor=${encodeURIComponent(cursor)}` : ""), trial);
    rows.push(...page[member]);
    cursor = page.next_cursor;
  } while (cursor);
  return rows;
}
