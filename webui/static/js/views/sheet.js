// The call sheet: what is expected, running, late, failed and held today, and what needs a person.
import { html } from "../preact.js";
import { Args, Elapsed, Icon, InTime, JobName, Late, Panel, State, Time, Trouble, byDue } from "../parts.js";
import { count, due, lateness, reason, TROUBLE } from "../format.js";
import { operate } from "../operations.js";
import { useRuns } from "../runlist.js";
import { useNow } from "../stream.js";

export function SheetView() {
  const now = useNow();
  const midnight = new Date(now);
  midnight.setHours(0, 0, 0, 0);
  const since = midnight.toISOString();
  const live = useRuns({ state: "waiting,starting,running,stopping" });
  const coming = useRuns({ state: "scheduled" });
  const ended = useRuns({ state: "failure,error,lost", since });
  const good = useRuns({ state: "success,skipped", since });
  const error = live.error ?? coming.error ?? ended.error;
  if (error && !live.runs.length) return html`<${Trouble} error=${error} again=${live.reload} />`;
  const active = live.runs.filter((run) => ["waiting", "starting", "running", "stopping"].includes(run.state));
  const next = coming.runs.filter((run) => run.state === "scheduled").sort(byDue);
  const troubled = ended.runs.filter((run) => TROUBLE.has(run.state)).sort((a, b) => due(b) - due(a));
  const held = [...active, ...next].filter((run) => run.held);
  const late = [...active, ...next].filter((run) => !run.held && lateness(run, now));
  const running = active.filter((run) => run.state === "running" || run.state === "stopping" || run.state === "starting");
  const waiting = active.filter((run) => run.state === "waiting");
  const total = (list, state) => list.counts?.[state] ?? 0;
  const persons = [...late, ...held, ...troubled].slice(0, 12);
  return html`<div>
    <div class="top"><h1>Call sheet</h1><span class="dim">${new Date(now).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" })}</span></div>
    <nav class="totals" aria-label="Totals">
      ${totalOf("scheduled", "coming", total(coming, "scheduled"), "/runs?state=scheduled", next[0] && html`next <${InTime} at=${next[0].schedule_time} />`)}
      ${totalOf("waiting", "waiting", waiting.length, "/runs?state=waiting")}
      ${totalOf("running", "running", running.length, "/runs?state=running", "", running.length > 0)}
      ${totalOf("success", "success", total(good, "success"), "/runs?state=success", "since midnight")}
      ${totalOf("failure", "failure", total(ended, "failure"), "/runs?state=failure", "since midnight", total(ended, "failure") > 0)}
      ${totalOf("error", "error", total(ended, "error"), "/runs?state=error", "could not run", total(ended, "error") > 0)}
      ${totalOf("lost", "lost", total(ended, "lost"), "/runs?state=lost", "nobody knows", total(ended, "lost") > 0)}
      ${totalOf("late", "late", late.length, "/runs?state=waiting", "", late.length > 0)}
      ${totalOf("held", "held", held.length, "/runs?state=waiting,scheduled", "", held.length > 0)}
    </nav>
    <${Panel} title="Needs a person" sub=${persons.length ? `${count(late.length + held.length + troubled.length)}` : ""}>
      ${persons.length
        ? html`<table class="att">
            <tbody>
              ${persons.map(
                (run) => html`<tr key=${run.run_id} data-run=${run.run_id}>
                  <td><${State} run=${lateness(run, now) && !TROUBLE.has(run.state) ? "late" : run} /></td>
                  <td><${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
                  <td class="cut dim">${reason(run, now)}</td>
                  <td class="num"><${Time} at=${run.schedule_time} /></td>
                  <td class="hide-s num"><a class="rid" href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
                  <td class="num hide-s">${deed(run)}</td>
                </tr>`,
              )}
            </tbody>
          </table>`
        : html`<p class="empty">Nothing. The day goes by itself.</p>`}
    <//>
    <div class="cols-2 sec">
      <${Panel} title="Running now" sub=${count(running.length + waiting.length)}>
        ${running.length + waiting.length === 0
          ? html`<p class="empty">Nothing runs at this moment.</p>`
          : html`<table class="runp">
              <tbody>
                ${[...running, ...waiting].slice(0, 20).map(
                  (run) => html`<tr key=${run.run_id} data-run=${run.run_id}>
                    <td class="cut"><${Icon} state=${run.state} /></td>
                    <td class="cut"><${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
                    <td class="num"><${Late} run=${run} /></td>
                    <td class="num"><${Elapsed} run=${run} /></td>
                  </tr>`,
                )}
              </tbody>
            </table>`}
      <//>
      <${Panel} title="Next calls" sub=${next.length ? count(total(coming, "scheduled")) : ""}>
        ${next.length === 0
          ? html`<p class="empty">Nothing is scheduled.</p>`
          : html`<table class="nx">
              <tbody>
                ${next.slice(0, 20).map(
                  (run) => html`<tr key=${run.run_id}>
                    <td><${Time} at=${run.schedule_time} /></td>
                    <td class="cut"><${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
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
  return html`<a href=${href} class=${n === 0 ? "zero" : hot ? `hot s-${state}` : ""}>
    <b>${count(n)}</b><span><${Icon} state=${state} />${word}</span><small>${note || " "}</small>
  </a>`;
}

function deed(run) {
  const verb = run.held ? "release" : TROUBLE.has(run.state) ? "rerun" : run.state === "waiting" ? "start" : null;
  const words = { release: "Release", rerun: "Rerun", start: "Start now" };
  return verb && html`<button class="btn small" onClick=${() => operate(run, verb)}>${words[verb]}</button>`;
}
