// What is picked of a list, or all that a query finds, and what is done to all of it: looked at first, then
// carried out by the server, which goes on by itself and says what became of each run.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { get, post } from "./api.js";
import { giveBack, trap } from "./dialog.js";
import { count, counted, MARKS, shownState } from "./format.js";
import { labelOf, possible, VERBS } from "./operations.js";
import { quoted } from "./querytext.js";
import { may } from "./session.js";
import { attempt, done, failed } from "./toast.js";

const LOOK_AGAIN_MS = 500;
// More than so many are confirmed by typing how many.
const TYPED_ABOVE = 20;
const SHOWN = 5;
const BULK = VERBS.filter((verb) => verb !== "signal");

/** @param {{picks: Map<string, any>, setPicks: (picks: Map<string, any>) => void, list: any, terms: any}} of */
export function Bulk({ picks, setPicks, list, terms }) {
  const [whole, setWhole] = useState(false);
  const [verb, setVerb] = useState("");
  const [going, setGoing] = useState(/** @type {any} */ (null));
  useEffect(() => {
    if (!picks.size) setWhole(false);
  }, [picks.size]);
  const begun = (operation) => {
    setVerb("");
    setGoing(operation);
    setPicks(new Map());
  };
  if (going) return html`<${Going} of=${going} over=${() => setGoing(null)} />`;
  if (!picks.size || !may("operator")) return null;
  const states = {};
  for (const run of picks.values()) states[shownState(run)] = (states[shownState(run)] ?? 0) + 1;
  const some = [...picks.values()];
  const verbs = BULK.filter((one) => whole || some.some((run) => possible(run).includes(one)));
  const query = asQuery(terms);
  const size = whole ? list.total : picks.size;
  return html`<div class="bulk" role="toolbar" aria-label="Do to picked runs">
      <b>${count(size)} ${whole ? "of the query" : "picked"}</b>
      ${!whole && html`<span class="x">${Object.entries(states).map(([state, n]) => `${count(n)} ${state}`).join(", ")}</span>`}
      ${!whole && query && list.total > picks.size && html`<button class="btn small" onClick=${() => setWhole(true)}>Pick all ${count(list.total)} of the query</button>`}
      ${verbs.map((one) => html`<button key=${one} class="btn small" data-bulk=${one} onClick=${() => setVerb(one)}>${labelOf(one).replace("…", "")}…</button>`)}
      <button class="btn small" aria-label="Drop the picks" onClick=${() => setPicks(new Map())}>✕</button>
    </div>
    ${verb && html`<${Preview} verb=${verb} about=${whole ? { query } : { runs: some.map((run) => run.run_id) }} begun=${begun} close=${() => setVerb("")} />`}`;
}

/** The query of a list with its span of time, as one text. @param {Record<string, string>} terms */
function asQuery({ q, since, until }) {
  return [q, since && `since:${quoted(since)}`, until && `until:${quoted(until)}`].filter(Boolean).join(" ");
}

/** What a deed would come to, before it is done. */
function Preview({ verb, about, begun, close }) {
  const [fields, setFields] = useState({ state: MARKS[0], downstream: false });
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [typed, setTyped] = useState("");
  const safe = useRef(null);
  const name = labelOf(verb).replace("…", "");
  const asked = { ...about, verb, ...(verb === "mark" ? { state: fields.state } : {}), ...(verb === "rerun" && fields.downstream ? { downstream: true } : {}) };
  useEffect(() => {
    let live = true;
    setFound(null);
    setError(null);
    post("/api/v2/operations/preview", asked).then(
      (value) => live && setFound(value),
      (wrong) => live && setError(wrong),
    );
    return () => {
      live = false;
    };
  }, [JSON.stringify(asked)]);
  useLayoutEffect(() => {
    const back = /** @type {HTMLElement | null} */ (document.activeElement);
    safe.current.focus();
    addEventListener("popstate", close);
    return () => {
      removeEventListener("popstate", close);
      giveBack(back);
    };
  }, []);
  const must = found && found.fits > TYPED_ABOVE;
  const ready = found && found.fits > 0 && (!must || typed.replace(/\D/g, "") === String(found.fits));
  const submit = async (event) => {
    event.preventDefault();
    if (!ready) return;
    const reason = String(new FormData(event.target).get("reason") ?? "");
    const answer = await attempt(`Could not ${verb} ${counted(found.fits, "run")}`, () => post("/api/v2/operations", { preview: found.preview, ...(reason ? { reason } : {}) }));
    if (answer) begun(answer.operation);
  };
  const keys = (event) => {
    if (event.key === "Tab") trap(event);
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  };
  return html`<div class="scrim" onClick=${(event) => event.target === event.currentTarget && close()} onKeyDown=${keys}>
    <form class="dialog" role="alertdialog" tabindex="-1" aria-modal="true" aria-label=${`${name} many runs`} onSubmit=${submit}>
      <header>${name} ${found ? counted(found.count, "run") : "…"}</header>
      <div class="body">
        <div aria-live="polite">
          ${error && html`<p class="bad" role="alert">${error.message}</p>`}
          ${!found && !error && html`<p class="dim">Looking at what it would come to</p>`}
          ${found && html`<${WhatFits} found=${found} />`}
        </div>
        <div class="form sec">
          ${verb === "mark" && html`<label for="b-state">state</label><select id="b-state" class="field" value=${fields.state} onChange=${(event) => setFields({ ...fields, state: event.target.value })}>${MARKS.map((state) => html`<option>${state}</option>`)}</select>`}
          ${verb === "rerun" && html`<label for="b-down">and what follows</label><label><input id="b-down" type="checkbox" class="check" checked=${fields.downstream} onChange=${(event) => setFields({ ...fields, downstream: event.target.checked })} /> what ran because of these runs, in order</label>`}
          <label for="b-reason">reason</label><div><input id="b-reason" class="field wide" name="reason" autocomplete="off" /><div class="hint">kept with the operation and in the runs' logs</div></div>
          ${must && html`<label for="b-count">type ${count(found.fits)}</label><input id="b-count" class="field" inputmode="numeric" autocomplete="off" value=${typed} onInput=${(event) => setTyped(event.target.value)} />`}
        </div>
      </div>
      <footer>
        <button type="button" class="btn" ref=${safe} onClick=${close}>Leave them</button>
        <button type="submit" class=${verb === "kill" ? "btn kill" : "btn main"} disabled=${!ready}>${name} ${found ? count(found.fits) : ""}</button>
      </footer>
    </form>
  </div>`;
}

function WhatFits({ found }) {
  return html`<p><b>${count(found.fits)}</b> will${found.refused > 0 && html`, <b>${count(found.refused)}</b> cannot:`}</p>
    ${found.refusals.length > 0 &&
    html`<ul class="lt">
      ${found.refusals.slice(0, SHOWN).map((one) => html`<li><span class="grow" title=${one.runs.join(", ")}>${one.sentence}</span><span class="r">${counted(one.count, "run")}</span></li>`)}
    </ul>`}
    <p class="dim small">${Object.entries(found.states).map(([state, n]) => `${count(n)} ${state}`).join(", ")} · ${counted(found.job_count, "job")}${found.downstream ? ` · ${count(found.downstream.order.filter((one) => !one.root).length)} of them follow` : ""}</p>`;
}

/** An operation while it goes on; when it is over, what became of it. */
function Going({ of, over }) {
  const [operation, setOperation] = useState(of);
  useEffect(() => {
    let timer = 0;
    let live = true;
    const look = async () => {
      try {
        const page = await get(`/api/v2/operations/${operation.operation_id}`);
        if (!live) return;
        setOperation(page.operation);
        if (page.operation.state === "running") timer = setTimeout(look, LOOK_AGAIN_MS);
        else {
          told(page);
          over();
        }
      } catch (error) {
        if (!live) return;
        failed(`Could not look at operation ${operation.operation_id}; it goes on by itself`, error);
        over();
      }
    };
    look();
    return () => {
      live = false;
      clearTimeout(timer);
    };
  }, []);
  const stop = () => attempt("Could not stop the operation", () => post(`/api/v2/operations/${operation.operation_id}/stop`));
  return html`<div class="bulk" role="status">
    <b>${labelOf(operation.verb).replace("…", "")}</b><span class="x">${count(operation.over)} of ${count(operation.total)}</span>
    <progress max=${operation.total} value=${operation.over} aria-label="done with"></progress>
    <button class="btn small" onClick=${stop}>Stop</button>
  </div>`;
}

function told({ operation, runs }) {
  const { done: good = 0, ...others } = operation.counts;
  const rest = Object.entries(others).filter(([, n]) => n > 0).map(([outcome, n]) => `${count(Number(n))} ${outcome}`);
  const made = runs.map((run) => run.new_run).filter(Boolean);
  const ids = made.length ? made : runs.map((run) => run.run_id);
  const shown = `${ids.slice(0, SHOWN).join(", ")}${operation.total > SHOWN ? " …" : ""}`;
  const href = `/runs?q=id:${ids.slice(0, 100).join(",")}`;
  done(`${labelOf(operation.verb).replace("…", "")}: ${count(good)} of ${count(operation.total)}${rest.length ? `, ${rest.join(", ")}` : ""}`, shown, href);
}
