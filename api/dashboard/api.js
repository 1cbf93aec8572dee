// The REST interface of the daemon.

/** What the service refused, as application/problem+json says it. */
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `status ${status}`);
    this.status = status;
    this.field = problem.field || "";
  }
}

let token = "";
export function setToken(value) {
  token = value;
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { headers: { Accept: "application/json", ...options.headers }, ...options });
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

export const get = (path) => ask(path);

/** As get, but null where the resource or the route does not exist. */
export async function getIfThere(path) {
  try {
    return await ask(path);
  } catch (error) {
    if (error instanceof Problem && (error.status === 404 || error.status === 501)) return null;
    throw error;
  }
}

export function write(method, path, value) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (value !== undefined) headers["Content-Type"] = "application/json";
  return ask(path, { method, headers, body: value === undefined ? undefined : JSON.stringify(value) });
}

/** The address of a model: owner/name, or file/%2Ffolder. */
export function modelPath(name) {
  const at = name.startsWith("file:") ? 4 : name.indexOf("/");
  return `/v1/models/${encodeURIComponent(name.slice(0, at))}/${encodeURIComponent(name.slice(at + 1))}`;
}

/** All members of a paged list. */
export async function all(path, member) {
  const rows = [];
  let cursor = "";
  do {
    const joint = path.includes("?") ? "&" : "?";
    const page = await get(path + (cursor ? `${joint}cursor=${encodeURIComponent(cursor)}` : ""));
    rows.push(...page[member]);
    cursor = page.next_cursor;
  } while (cursor);
  return rows;
}
