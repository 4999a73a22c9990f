// Runs: the list of a query, live, drawn by window.
import { html, useCallback, useEffect, useLayoutEffect, useMemo, useState } from "../preact.js";
import { ahead } from "../api.js";
import { Icon, Trouble } from "../parts.js";
import { count, counted, STATES } from "../format.js";
import { Histogram } from "../histogram.js";
import { firstStretch, useLongList } from "../longlist.js";
import { join, parse, statesOf, toggled } from "../querytext.js";
import { LOOKED_AT, QueryBox } from "../querybox.js";
import { RunTable } from "../runtable.js";
import { SaveQuery } from "../saved.js";
import { go, here, useUrl } from "../router.js";
import { stream } from "../stream.js";
import { boundOf, TimeRange } from "../timerange.js";
import { may } from "../session.js";
import { Loaded, Wanted } from "../wanted.js";

const ALWAYS = ["waiting", "running", "failure"];
const SAID_AFTER_MS = 1000;
const bulk = new Wanted(() => import("../bulk.js").then((its) => its.Bulk));
const firstJob = new Wanted(() => import("../firstjob.js").then((its) => its.FirstJob));

/** What an address asks for. @param {URL} url */
function asked(url) {
  const given = (name) => url.searchParams.get(name) ?? "";
  const q = [given("q"), given("state") && `state:${given("state")}`].filter(Boolean).join(" ");
  // What is all still to come begins with the next one.
  const rising = given("sort") ? given("sort") === "schedule" : statesOf(q)?.join() === "scheduled";
  return { q, since: given("since"), until: given("until"), rising };
}

function termsOf({ q, since, until }) {
  return { q, since: boundOf(since, stream.now()), until: boundOf(until, stream.now()) };
}

/** What is read first at an address. @param {URL} url */
RunsView.first = (url) => firstStretch(termsOf(asked(url)), asked(url).rising);

export function RunsView() {
  const url = useUrl();
  const { q, since, until, rising } = asked(url);
  const [picks, setPicks] = useState(new Map());
  const [groups, setGroups] = useState(localStorage.getItem("groups") !== "no");
  // "Today" is another day after midnight, and in another zone.
  const bounds = termsOf({ q, since, until });
  const terms = useMemo(() => bounds, [q, bounds.since, bounds.until]);
  const { list, there, stale, error, reread } = useLongList(terms, rising);
  useEffect(() => setPicks(new Map()), [q, since, until]);
  const set = useCallback((changes, replace = false) => {
    const next = here();
    if ("q" in changes) next.searchParams.delete("state");
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.searchParams.set(name, value);
      else next.searchParams.delete(name);
    }
    // Asked for before anything is drawn anew.
    if (next.href !== here().href) ahead(RunsView.first(next));
    go(next.pathname + next.search, { replace });
  }, []);
  const toggle = (term, { not = false, widen = false } = {}) => set({ q: toggled(q, `${not ? "!" : ""}${term}`, { widen }) });
  const setSpan = useCallback((from, to) => set({ since: from, until: to }), []);
  const group = () => {
    localStorage.setItem("groups", groups ? "no" : "yes");
    setGroups(!groups);
  };
  const found = useRested(list.loading ? "" : counted(list.total, "run"));
  // What has nothing to do with the runs that come and go is not drawn anew for them.
  const box = useMemo(
    () => html`<${QueryBox} q=${q} set=${(next, replace) => set({ q: next }, replace)} found=${() => ({ runs: list.some(LOOKED_AT), counts: list.counts })} error=${error} live=${found} />`,
    [list, q, error, found],
  );
  const range = useMemo(() => html`<${TimeRange} since=${since} until=${until} set=${setSpan} />`, [since, until]);
  return html`<div class="runs-page">
    <div class="top">
      <h1 class="sr">Runs</h1>
      ${box}${range}
      <${SaveQuery} href=${url.pathname + url.search} />
      ${may("admin") && html`<a class="btn hide-s" href="/adhoc">Ad hoc run…</a>`}
    </div>
    <${Facets} q=${q} set=${set} toggle=${toggle} counts=${list.counts}>
      <label class="hide-s opt"><input type="checkbox" class="check" checked=${groups} onChange=${group} /> group reruns</label>
    <//>
    <${Histogram} terms=${terms} there=${there} version=${list.total} set=${setSpan} />
    ${error && error.status !== 400 && !list.rows.known
      ? html`<${Trouble} error=${error} again=${reread} />`
      : !list.loading && !list.total && !error
        ? html`<${Nothing} q=${q} since=${since} until=${until} set=${set} />`
        : html`<${RunTable} list=${list} dim=${stale} rising=${rising} groups=${groups} group=${group} toggle=${toggle} q=${q} picks=${picks} setPicks=${setPicks} turn=${() => set({ sort: rising ? "-schedule" : "schedule" })} />`}
    ${(bulk.found || picks.size > 0) && html`<${Loaded} it=${bulk} picks=${picks} setPicks=${setPicks} list=${list} terms=${terms} />`}
  </div>`;
}

/** A text once it has rested: what is said aloud is not every change. */
function useRested(text) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSaid(text), SAID_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return said;
}

function Facets({ q, set, toggle, counts, children }) {
  const states = statesOf(q);
  const total = counts ? Object.values(counts).reduce((sum, n) => sum + n, 0) : null;
  const any = () => set({ q: join(parse(q).filter((one) => one.key !== "state")) });
  const shown = STATES.filter((one) => counts?.[one] || states?.includes(one) || ALWAYS.includes(one));
  return html`<div class="facets" role="group" aria-label="States">
    <button aria-pressed=${states === null} onClick=${any}>all ${total !== null && html`<b>${count(total)}</b>`}</button>
    ${shown.map(
      (one) => html`<button
        key=${one}
        aria-pressed=${Boolean(states?.includes(one))}
        title=${`click: only ${one} · Ctrl-click: also ${one} · Alt-click: without ${one}`}
        onClick=${(event) => toggle(`state:${one}`, { not: event.altKey, widen: event.ctrlKey || event.metaKey })}
      >
        <${Icon} state=${one} />${one} ${counts && html`<b>${count(counts[one] ?? 0)}</b>`}
      </button>`,
    )}
    ${children}
  </div>`;
}

/** What found nothing, and the likeliest mend. */
function Nothing({ q, since, until, set }) {
  if (!q && !since && !until) return html`<${Loaded} it=${firstJob} none="No runs yet" />`;
  const rest = join(parse(q).filter((one) => one.key !== "state"));
  return html`<div class="panel empty">
    No runs${q && html` with <code>${q}</code>`}${(since || until) && html` in this span of time`}.
    <p class="sec-s mends">
      ${(since || until) && html`<button class="btn" onClick=${() => set({ since: "", until: "" })}>At any time</button>`}
      ${rest !== q && rest && html`<button class="btn" onClick=${() => set({ q: rest })}>In any state</button>`}
      <button class="btn" onClick=${() => set({ q: "", since: "", until: "" })}>All runs</button>
    </p>
  </div>`;
}
