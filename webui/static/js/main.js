// The frame: rail, pages, keys, the connection. The URL says which page.
import { html, render, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { Dialogs } from "./dialog.js";
import { titleClipped } from "./clipped.js";
import { forgetAhead, get } from "./api.js";
import { showFavicon } from "./favicon.js";
import { clock, count, counted, cyclePrecision, cycleZone, dayOf, duration } from "./format.js";
import { applyLook, cycleTheme, globalKeys, showKeys, turnKeys } from "./keys.js";
import { oncePainted } from "./pace.js";
import { openPalette, Palette, visited } from "./palette.js";
import { Icon, Trouble, ZoneName } from "./parts.js";
import { useTurning, useUrl } from "./router.js";
import { useRuns } from "./runlist.js";
import { SavedNav } from "./saved.js";
import { LoginView, useMe, whoAmI, Who } from "./session.js";
import { stream, useNow, useStatus } from "./stream.js";
import { TimeCard } from "./timecard.js";
import { done, Toasts } from "./toast.js";
import { opening, pageOf, plain } from "./views.js";
import { loadAtRest } from "./wanted.js";

const PAGES = [
  ["/", "Call sheet", "s", "Sheet"],
  ["/runs", "Runs", "r", "Runs"],
  ["/jobs", "Jobs", "j", "Jobs"],
  ["/timeline", "Timeline", "t", "Timeline"],
  ["/agents", "Agents", "a", "Agents"],
  ["/checks", "Checks", "c", "Checks"],
  ["/control", "Control", "o", "More"],
];
// Pages that another page leads to.
const OTHERS = [["/calendar", "Calendar"], ["/graph", "Graph"], ["/adhoc", "Ad hoc run"], ["/why", "Why"], ["/reference", "API"]];
const LETTERS = new Map(PAGES.filter(([, , key]) => key).map(([path, , key]) => [key, path]));
const PLACES = [...PAGES, ...OTHERS].map(([path, name]) => [path, name]);
const RUNNING_STATES = ["running", "stopping"];
const TROUBLE_STATES = ["failure", "error", "lost"];
const FOLDER_FIRST_MS = 2000;
const FOLDER_MS = 60e3;
// What the page itself asks for comes before the figures in the rail.
const MARKS_FIRST_MS = 300;
const SLOW_MS = 300;
const TABS = ["/", "/runs", "/jobs", "/agents", "/control"];

function isAt(path, page) {
  if (page === "/") return path === "/" || path.startsWith("/day");
  return path === page || path.startsWith(`${page}/`) || (page === "/jobs" && path.startsWith("/job/")) || (page === "/timeline" && ["/calendar", "/graph"].includes(path));
}

/** Whoever is not known logs in; what is drawn for one person is never kept for another. */
function Door() {
  const me = useMe();
  const known = Boolean(me);
  const [here, setHere] = useState(!first);
  useEffect(() => {
    first?.then(() => setHere(true));
  }, []);
  useLayoutEffect(() => {
    if (known) return stream.socket ? undefined : oncePainted(() => stream.connect());
    stream.stop();
    return undefined;
  }, [known]);
  const waits = me === undefined || (me && !here);
  useLayoutEffect(() => {
    if (!waits) document.body.hidden = false;
  }, [waits]);
  if (waits) return html`<p class="empty" role="status">Connecting</p>`;
  return me === null ? html`<${LoginView} />` : html`<${App} />`;
}

const focusMain = () => document.getElementById("main")?.focus({ preventScroll: true });

function App() {
  const begun = useRef(false);
  const url = useUrl();
  const status = useStatus();
  const me = useMe();
  const [drawn, redraw] = useState(0);
  const marks = useMarks();
  // The figures in the rail change with each run: the page is not drawn anew for them.
  const page = useMemo(() => pageOf(url.pathname), [url.pathname, me, drawn]);
  useLayoutEffect(() => {
    const place = [...PAGES, ...OTHERS].find(([path]) => isAt(url.pathname, path));
    const isOfOne = /^\/(runs|job|agents)\/./.test(url.pathname);
    if (place && !isOfOne) document.title = `${place[1]} · callsheet`;
    if (isOfOne) visited(url.pathname, plain(url.pathname.slice(1)));
    if (begun.current) focusMain();
  }, [url.pathname]);
  // To focus is to lay out the page: the first time once that has been done, with all that is on it by then.
  useEffect(() => {
    begun.current = true;
    if (document.activeElement === document.body) focusMain();
  }, []);
  const changeZone = () => {
    cycleZone();
    redraw((n) => n + 1);
  };
  const changePrecision = () => {
    cyclePrecision();
    redraw((n) => n + 1);
  };
  useLayoutEffect(() => globalKeys(LETTERS, changeZone), []);
  useEffect(forgetAhead, []);
  useEffect(() => showFavicon(status === "stale" || status === "reconnecting" ? "stale" : marks["/"] ? "trouble" : marks["/checks"] ? "late" : ""), [status, Boolean(marks["/"]), Boolean(marks["/checks"])]);
  // A screen on the wall: nothing to click, and read from across the room.
  const wall = url.searchParams.get("wall") === "1" && isAt(url.pathname, "/");
  useLayoutEffect(() => {
    document.documentElement.toggleAttribute("data-wall", wall);
  }, [wall]);
  const deeds = useMemo(() => [["Change the zone of times", changeZone], ["Show times to the second or the millisecond", changePrecision], ["Change between light and dark", cycleTheme], ["Show all keys", showKeys], ["Turn single keys on or off", turnKeys]], []);
  useEffect(() => (status === "live" ? loadAtRest() : undefined), [url.href, status]);
  const banner = status === "stale" && html`<${StaleBanner} />`;
  if (wall) {
    return html`<main id="main" class=${`wall${status === "live" ? "" : " stale-clock"}`} tabindex="-1">${banner}${page}<${Connection} status=${status} /></main>`;
  }
  return html`<a class="skip" href="#main">Skip to content</a>
    <div class=${`app${status === "live" ? "" : " stale-clock"}`}>
      <aside class="rail" aria-label="Site">
        <a class="brand" href="/"><svg viewBox="0 0 18 18" aria-hidden="true"><path d="M1 3.5h8M4 9h9M8 14.5h9" stroke="currentColor" stroke-width="3" /></svg>callsheet</a>
        <button class="jump" onClick=${() => openPalette()}>Go to or do…<kbd>Ctrl K</kbd></button>
        <nav class="nav" aria-label="Main">
          ${PAGES.map(
            ([path, name]) => html`<a href=${path} aria-current=${isAt(url.pathname, path) ? "page" : undefined}>
              ${name}<${Mark} of=${marks[path]} />
            </a>`,
          )}
        </nav>
        <${SavedNav} here=${url.pathname + url.search} />
        <div class="rail-foot">
          <button onClick=${changeZone} title="Zone for all times"><${ZoneName} /><span class="r grow"></span><kbd>z</kbd></button>
          <button onClick=${cycleTheme}>Light or dark<span class="grow"></span><kbd>t</kbd></button>
          <button onClick=${showKeys}>Keys<span class="grow"></span><kbd>?</kbd></button>
          <${Who} />
          <${Connection} status=${status} />
        </div>
      </aside>
      <main id="main" tabindex="-1">
        <${Turning} />
        ${banner || (status === "reconnecting" && html`<div class="only-phone"><${Connection} status=${status} /></div>`)}
        ${url.pathname === "/control" && html`<${More} status=${status} zone=${changeZone} />`}
        ${page}
      </main>
    </div>
    <nav class="tabbar" aria-label="Main, small screen">
      ${PAGES.filter(([path]) => TABS.includes(path)).map(
        ([path, , , short]) => html`<a href=${path} aria-current=${isAt(url.pathname, path) ? "page" : undefined}>
          ${short}<small class=${marks[path]?.state ? `s-${marks[path].state}` : ""}>${marks[path]?.short ?? " "}</small>
        </a>`,
      )}
    </nav>
    <${Dialogs} /><${Palette} pages=${PLACES} deeds=${deeds} /><${TimeCard} /><${Toasts} />`;
}

/** The figure beside each page's name: coloured only when it is trouble, or running. */
function useMarks() {
  const now = useNow();
  const [begun, setBegun] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setBegun(true), MARKS_FIRST_MS);
    return () => clearTimeout(timer);
  }, []);
  const live = useRuns(begun ? {} : null, { states: RUNNING_STATES.join() });
  const today = useRuns(begun ? { since: dayOf(now).since } : null, { states: "failure,error,lost" });
  const agents = usePushed("agents");
  const checks = usePushed("checks");
  const { changes, jobs } = useFolder();
  // Of very many not all have been read.
  const running = live.more ? RUNNING_STATES.reduce((sum, state) => sum + (live.counts?.[state] ?? 0), 0) : live.runs.length;
  const failed = TROUBLE_STATES.reduce((sum, state) => sum + (today.counts?.[state] ?? 0), 0);
  const heard = agents?.filter((agent) => agent.connected).length;
  const found = checks?.findings.length;
  return {
    "/": failed > 0 && { n: count(failed), state: "failure", said: `${count(failed)} failed today`, short: `${count(failed)} failed` },
    "/runs": running > 0 && { n: count(running), state: "running", said: `${count(running)} running`, short: `${count(running)} running` },
    "/jobs": jobs > 0 && { n: count(jobs), said: counted(jobs, "job"), short: count(jobs) },
    "/agents": agents && { n: `${heard}/${agents.length}`, state: heard < agents.length ? "lost" : "", said: `${heard} of ${agents.length} connected`, short: `${heard}/${agents.length}` },
    "/checks": found > 0 && { n: count(found), state: "late", said: counted(found, "finding"), short: count(found) },
    "/control": (changes > 0 || found > 0) && { n: changes > 0 ? counted(changes, "change") : "", said: `${counted(changes, "change")} of the job folder not loaded`, short: found > 0 ? counted(found, "finding") : counted(changes, "change"), state: changes > 0 ? "" : "late" },
  };
}

/** How many jobs are in force, and how many changes of the job folder are not loaded. */
function useFolder() {
  const [found, setFound] = useState({ jobs: 0, changes: 0 });
  useEffect(() => {
    const read = () => document.visibilityState === "visible" && get("/api/v2/health").then((health) => setFound({ jobs: health.jobs_in_force, changes: health.jobs?.different ?? 0 }), () => {});
    const first = setTimeout(read, FOLDER_FIRST_MS); // not before what the page itself asks for
    const timer = setInterval(read, FOLDER_MS);
    const stop = stream.follow({ topic: "jobs" }, read);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
      stop();
    };
  }, []);
  return found;
}

/** What a topic of the stream said last. */
function usePushed(topic) {
  const [value, setValue] = useState(null);
  useEffect(() => stream.follow({ topic }, (message) => topic in message && setValue(message[topic])), [topic]);
  return value;
}

function Mark({ of }) {
  if (!of || !of.n) return null;
  return html`<span class=${`n${of.state ? ` s-${of.state}` : ""}`} title=${of.said}>${of.state && html`<${Icon} state=${of.state} />`}${of.n}</span>`;
}

/** What the rail holds besides the pages, where there is no rail. */
function More({ status, zone }) {
  return html`<nav class="panel only-phone more" aria-label="More">
    <a href="/checks">Checks</a><a href="/timeline">Timeline</a><a href="/calendar">Calendar</a><a href="/adhoc">Ad hoc run</a><a href="/why">Why</a><a href="/reference">API</a><button onClick=${() => openPalette()}>Go to or do…</button><button onClick=${zone}>Zone: <${ZoneName} /></button><button onClick=${cycleTheme}>Light or dark</button><${Connection} status=${status} /><${Who} />
  </nav>`;
}

/** That another page is on its way, if it takes long. */
function Turning() {
  const url = useTurning();
  const [said, setSaid] = useState("");
  useEffect(() => {
    const path = url && new URL(url, location.href).pathname;
    const timer = setTimeout(() => setSaid(path && `Opening ${PLACES.find(([one]) => isAt(path, one))?.[1] ?? path}`), url ? SLOW_MS : 0);
    return () => clearTimeout(timer);
  }, [url]);
  return html`<p class="turning" role="status">${said}</p>`;
}

function Connection({ status }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000); // also while the page's own clock stands still
    return () => clearInterval(timer);
  }, []);
  const s = (ms) => Math.max(0, Math.round((Date.now() - ms) / 1000));
  const words = {
    live: "Live",
    connecting: "Connecting",
    reconnecting: `Reconnecting, ${s(stream.since)} s`,
    stale: `Stale since ${clock(stream.since)}`,
  };
  const age = (Date.now() - stream.lastMs) / 1000;
  return html`<div class=${`conn${status === "live" ? "" : status === "stale" ? " stale" : " off"}`} role="status" data-status=${status}>
    ${words[status]}${status === "live" && html`<span class="r" aria-hidden="true" title="since the server's last word">${age < 1 ? `${age.toFixed(1)} s` : duration(age)}</span>`}
  </div>`;
}

function StaleBanner() {
  return html`<div class="banner" role="alert"><${Icon} state="late" />What you see is as of ${clock(stream.since)}. Trying to reach the server.</div>`;
}

let wasLost = false;
stream.watchers.add((status) => {
  if (status === "reconnecting" || status === "stale") wasLost = true;
  else if (status === "live" && wasLost) {
    wasLost = false;
    done("Connected again", "caught up with the server");
  }
});

applyLook();
titleClipped();
whoAmI();
const first = opening(location.href, { first: true });
render(html`<${Door} />`, document.getElementById("app"));
