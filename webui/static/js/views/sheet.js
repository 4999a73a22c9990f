// The call sheet: what is expected, running, late, failed and held today, and what needs a person.
import { html } from "../preact.js";
import { AdHoc, Args, Elapsed, Icon, InTime, JobName, Late, Panel, State, Time, Trouble, byDue } from "../parts.js";
import { count, dayName, dayOf, due, lateness, reason, TROUBLE } from "../format.js";
import { operate } from "../operations.js";
import { useComing, useRuns } from "../runlist.js";
import { useNow } from "../stream.js";

const SHOWN = 12;
const GOOD_PAGE = 1000;

/** Runs in trouble that no later run of the same job and args has made good; the newest of each, with how
 *  many there are. */
function unsolved(troubled, good) {
  const instance = (run) => `${run.job_id} ${JSON.stringify(run.args)}`;
  const solved = {};
  for (const run of good) solved[instance(run)] = Math.max(solved[instance(run)] ?? 0, due(run));
  const found = new Map();
  for (const run of [...troubled].sort((a, b) => due(b) - due(a))) {
    const key = instance(run);
    if ((solved[key] ?? 0) > due(run)) continue;
    if (found.has(key)) found.get(key).times += 1;
    else found.set(key, { run, times: 1 });
  }
  const worst = ["lost", "failure", "error"];
  return [...found.values()].sort((a, b) => worst.indexOf(a.run.state) - worst.indexOf(b.run.state) || due(b.run) - due(a.run));
}

export function SheetView() {
  const now = useNow();
  const today = dayOf(now);
  const live = useRuns({}, { states: "waiting,starting,running,stopping" });
  const ended = useRuns(today, { states: "failure,error,lost" });
  const good = useRuns({ since: today.since, state: "success" }, { limit: GOOD_PAGE });
  const coming = useComing({});
  const error = live.error ?? coming.error ?? ended.error;
  if (error && !ended.counts) return html`<${Trouble} error=${error} again=${live.reload} />`;
  const active = live.runs;
  const next = coming.runs;
  const held = [...active, ...next].filter((run) => run.held);
  const late = [...active, ...next].filter((run) => !run.held && !run.times.running && lateness(run, now));
  const running = active.filter((run) => run.state !== "waiting").sort(byDue);
  const waiting = active.filter((run) => run.state === "waiting").sort(byDue);
  // Null while nothing is known: an unread figure is no zero.
  const total = (state) => (ended.counts ? (ended.counts[state] ?? 0) : null);
  const size = (list) => (live.counts ? list.length : null);
  const wanting = [...unsolved(ended.runs, good.runs), ...[...late, ...held].map((run) => ({ run, times: 1 }))];
  const persons = wanting.slice(0, SHOWN);
  return html`<div>
    <div class="top"><h1>Call sheet</h1><span class="dim">${dayName(now)}</span></div>
    <nav class="totals" aria-label="Totals">
      ${totalOf("scheduled", "to come", total("scheduled"), "/runs?state=scheduled", next[0] && html`next <${InTime} at=${next[0].schedule_time} />`)}
      ${totalOf("waiting", "waiting", size(waiting), "/runs?state=waiting")}
      ${totalOf("running", "running", size(running), "/runs?state=running", "", true)}
      ${totalOf("success", "success", total("success"), "/runs?state=success", "since midnight")}
      ${totalOf("failure", "failure", total("failure"), "/runs?state=failure", "since midnight", true)}
      ${totalOf("error", "error", total("error"), "/runs?state=error", "could not run", true)}
      ${totalOf("lost", "lost", total("lost"), "/runs?state=lost", "nobody knows", true)}
      ${totalOf("late", "late", size(late), "/runs?state=waiting", "not yet started", true)}
      ${totalOf("held", "held", size(held), "/runs?q=held:yes", "", true)}
    </nav>
    <${Panel} title="Needs a person" sub=${wanting.length ? `${wanting.length > SHOWN ? `${SHOWN} of ` : ""}${count(wanting.length)} · worst first` : ""}>
      ${persons.length
        ? html`<table class="runs stack">
            <colgroup><col class="col-state" /><col class="col-whom" /><col /><col class="col-time" /><col class="col-run" /><col class="col-deed" /></colgroup>
            <tbody>
              ${persons.map(
                ({ run, times }) => html`<tr key=${run.run_id} data-run=${run.run_id}>
                  <td class="m-st"><${State} run=${!TROUBLE.has(run.state) && !run.held && lateness(run, now) ? "late" : run} /></td>
                  <td class="m-a"><${AdHoc} of=${run} /> <${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
                  <td class="m-c cut" title=${reason(run, now)}>${reason(run, now)}${times > 1 && html` <span class="faint">· ${count(times)} times</span>`}</td>
                  <td class="m-b num"><${Time} at=${run.schedule_time} /></td>
                  <td class="num"><a class="rid" href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
                  <td class="m-d num">${deed(run)}</td>
                </tr>`,
              )}
            </tbody>
          </table>`
        : html`<p class="empty">${ended.loading ? " " : "Nothing. The day goes by itself."}</p>`}
    <//>
    <div class="cols-2 sec">
      <${Panel} title="Running now" sub=${count(running.length + waiting.length)}>
        ${running.length + waiting.length === 0
          ? html`<p class="empty">Nothing runs at this moment.</p>`
          : html`<table class="runs going">
              <colgroup><col class="col-icon" /><col /><col class="col-late" /><col class="col-el" /></colgroup>
              <tbody>
                ${[...running, ...waiting].slice(0, 20).map(
                  (run) => html`<tr key=${run.run_id} data-run=${run.run_id}>
                    <td title=${run.state}><${Icon} state=${run.state} /><span class="sr">${run.state}</span></td>
                    <td><${AdHoc} of=${run} /> <${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
                    <td class="num"><${Late} run=${run} /></td>
                    <td class="num"><${Elapsed} run=${run} /></td>
                  </tr>`,
                )}
              </tbody>
            </table>`}
      <//>
      <${Panel} title="Next calls" sub=${next.length > 20 ? "the next 20" : ""}>
        ${next.length === 0
          ? html`<p class="empty">Nothing is scheduled.</p>`
          : html`<table class="runs">
              <colgroup><col class="col-at" /><col /><col class="col-in" /></colgroup>
              <tbody>
                ${next.slice(0, 20).map(
                  (run) => html`<tr key=${run.run_id}>
                    <td><${Time} at=${run.schedule_time} /></td>
                    <td><${AdHoc} of=${run} /> <${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
                    <td class="num dim"><${InTime} at=${run.schedule_time} /></td>
                  </tr>`,
                )}
              </tbody>
            </table>`}
      <//>
    </div>
  </div>`;
}

function totalOf(state, word, n, href, note = "", hot = false) {
  return html`<a href=${href} class=${!n ? "zero" : hot ? `hot s-${state}` : ""}>
    <b>${n === null ? "–" : count(n)}</b><span><${Icon} state=${state} />${word}</span><small>${note || " "}</small>
  </a>`;
}

function deed(run) {
  const verb = run.held ? "release" : TROUBLE.has(run.state) ? "rerun" : ["waiting", "scheduled"].includes(run.state) ? "start" : null;
  const words = { release: "Release", rerun: "Rerun", start: "Start now" };
  return verb && html`<button class="btn small" onClick=${() => operate(run, verb)}>${words[verb]}</button>`;
}
