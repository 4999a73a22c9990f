// The views by the paths of the console, each loaded when it is first opened.
import { html, useEffect } from "./preact.js";
import { onceBack } from "./again.js";
import { ahead, ApiError } from "./api.js";
import { Trouble } from "./parts.js";
import { answers, Wanted } from "./wanted.js";

// The first part of a path; with a slash behind it: one of them, which the rest of the path names. The server reads
// these lines, too (webui/document.py): the document of a page names the modules of its view, which come at once then.
const VIEWS = {
  "/": () => import("./views/sheet.js").then((its) => its.SheetView),
  "/day": () => import("./views/sheet.js").then((its) => its.SheetView),
  "/runs": () => import("./views/runs.js").then((its) => its.RunsView),
  "/runs/": () => import("./views/run.js").then((its) => its.RunView),
  "/jobs": () => import("./views/jobs.js").then((its) => its.JobsView),
  "/job/": () => import("./views/job.js").then((its) => its.JobView),
  "/timeline": () => import("./views/timeline.js").then((its) => its.TimelineView),
  "/calendar": () => import("./views/calendar.js").then((its) => its.CalendarView),
  "/graph": () => import("./views/graph.js").then((its) => its.JobGraphView),
  "/adhoc": () => import("./views/adhoc.js").then((its) => its.AdHocView),
  "/why": () => import("./views/why.js").then((its) => its.WhyView),
  "/agents": () => import("./views/agents.js").then((its) => its.AgentsView),
  "/agents/": () => import("./views/agent.js").then((its) => its.AgentView),
  "/checks": () => import("./views/checks.js").then((its) => its.ChecksView),
  "/control": () => import("./views/control.js").then((its) => its.ControlView),
  "/reference": () => import("./views/reference.js").then((its) => its.ReferenceView),
};
/** @type {Map<string, Wanted<any>>} */
const views = new Map(Object.entries(VIEWS).map(([path, load]) => [path, new Wanted(load)]));
/** Why a view did not come. @type {Map<Wanted<any>, ApiError>} */
const why = new Map();
// Made when they are needed: an error looks for where it was made.
const nobody = () => new ApiError(0, "this page is not loaded yet, and nobody answers", null);
const unreadable = () => new ApiError(500, "the server has this page in a form that cannot be loaded", null);

/** A part of a path as it was written; one that is no escape of anything, as it stands. @param {string} part */
export function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    return part;
  }
}

/** What is at a path: its view, and which one of many; null: there is no such page. @param {string} path */
function at(path) {
  const [first = "", ...rest] = path.split("/").filter(Boolean).map(plain);
  const one = rest.length ? views.get(`/${first}/`) : undefined;
  const view = one ?? views.get(`/${first}`);
  return view ? { view, id: one ? rest.join("/") : "" } : null;
}

/** Have the view of an address loaded. Null: it is here; else what ends when it is, or is known not to come.
 *  @param {string} url @param {{first?: boolean}} [how] `first`: the page has just been loaded for it
 *  @returns {Promise<void> | null} */
export function opening(url, { first = false } = {}) {
  const view = at(new URL(url, location.href).pathname)?.view;
  if (!view || view.found) return null;
  return view.come().then(
    () => first && view.found.first && ahead(view.found.first(new URL(url))),
    async () => {
      const isThere = await answers();
      if (isThere && !first) await loadAnew(url);
      why.set(view, isThere ? unreadable() : nobody());
    },
  );
}

/** By the document: the server has another console by now, or the browser remembers that the module did not come. */
function loadAnew(url) {
  if (new URL(url, location.href).href === location.href) location.reload();
  else location.assign(url);
  return new Promise(() => {}); // nothing more is to be done here
}

/** What is drawn at a path. @param {string} path */
export function pageOf(path) {
  const found = at(path);
  if (!found) return html`<${Trouble} error=${{ status: 404, message: `there is no page ${path}` }}><p class="mends"><a class="btn" href="/">Call sheet</a></p><//>`;
  const { view, id } = found;
  return view.found ? html`<${view.found} key=${id} id=${id} />` : html`<${NotLoaded} key=${path} error=${why.get(view)} />`;
}

/** In place of a view whose module did not come. */
function NotLoaded({ error }) {
  const again = async () => {
    if (await answers()) location.reload();
  };
  useEffect(() => {
    let live = true;
    let stop = () => {};
    const wait = () => {
      stop();
      // That nobody answers may be known before the connection is seen to be lost.
      if (live) stop = onceBack(error, () => again().then(wait));
    };
    wait();
    return () => {
      live = false;
      stop();
    };
  }, []);
  return html`<${Trouble} error=${error} again=${again} />`;
}
