// The one client of the server's API. Every error is an ApiError that carries the server's words.

export class ApiError extends Error {
  /** @param {number} status @param {string} sentence @param {any} body */
  constructor(status, sentence, body) {
    super(sentence);
    this.status = status;
    this.body = body;
  }
}

// What is asked for ahead is wanted in the next drawing.
const UNWANTED_MS = 1000;

let xsrf = "";

/** What each change shows from now on; empty for nothing. @param {string} value */
export function showXsrf(value) {
  xsrf = value;
}

/** Answers that were asked for before those who want them are there. @type {Map<string, Promise<any>>} */
const early = new Map();

// What the server has answered in the document itself (webui/first_answers.py).
for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("script[data-answers]"))) {
  early.set(one.dataset.answers ?? "", Promise.resolve(JSON.parse(one.textContent ?? "")));
  one.remove();
}

/** Ask for what a page is about to `get`, once; not got within a second, it is forgotten. @param {string} path */
export function ahead(path) {
  if (early.has(path)) return;
  const coming = ask("GET", path);
  coming.catch(() => {}); // whoever gets it is told
  early.set(path, coming);
  setTimeout(() => early.get(path) === coming && early.delete(path), UNWANTED_MS);
}

/** What was asked for ahead and nobody wanted is of no use any more. */
export function forgetAhead() {
  early.clear();
}

/** @param {string} path @returns {Promise<any>} */
export function get(path) {
  const coming = early.get(path);
  early.delete(path);
  return coming ?? ask("GET", path);
}

/** POST a body. The command id makes a repeat harmless, so a lost answer is asked for once more.
 *  @param {string} path @param {any} [body] @returns {Promise<any>} */
export async function post(path, body = {}) {
  const id = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
  try {
    return await ask("POST", path, body, id);
  } catch (error) {
    if (error instanceof ApiError && error.status !== 0 && error.status !== 503) throw error;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return ask("POST", path, body, id);
  }
}

async function ask(method, path, body, commandId) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (commandId) headers["Idempotency-Key"] = commandId;
  if (xsrf && method !== "GET") headers["X-XSRF-Token"] = xsrf;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    throw new ApiError(0, "the server does not answer", null);
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch (error) {
    // A page of somebody's between here and the server, who wants a log-in perhaps.
    if (answer.ok) throw new ApiError(answer.status, "what answered is not the server", null);
  }
  if (answer.status === 401 && path !== "/api/v2/me") dispatchEvent(new Event("callsheet:nobody"));
  if (!answer.ok) throw new ApiError(answer.status, value?.error ?? answer.statusText, value);
  return value;
}

/** @param {Record<string, string | number | null | undefined>} terms @returns {string} */
export function query(terms) {
  const pairs = Object.entries(terms).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs.map(([k, v]) => [k, String(v)]))}` : "";
}

/** A job id as part of a path: its slashes stay readable. @param {string} jobId */
export function jobPath(jobId) {
  return jobId.split("/").map(encodeURIComponent).join("/");
}

/** Where an agent's own page is. @param {string} agentId */
export const agentPath = (agentId) => `/agents/${encodeURIComponent(agentId)}`;
