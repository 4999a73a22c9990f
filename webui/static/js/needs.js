// What needs a person: worst first, each with its reason, who has it, and the two likeliest deeds.
import { html, useEffect, useRef, useState } from "./preact.js";
import { AdHoc, Args, Icon, JobName, Late, State, Time } from "./parts.js";
import { count, due, lateness, reason, TROUBLE } from "./format.js";
import { operate } from "./operations.js";
import { may } from "./session.js";

const SHOWN = 12;
const FINDINGS = 3;
// How long a row that is solved stays, greyed.
const LEAVING_MS = 10e3;

/** The rows, and for a while those that have gone. @param {{run: any, times: number}[]} rows */
function useLeaving(rows) {
  const last = useRef(new Map());
  const gone = useRef(new Map());
  const [, redraw] = useState(0);
  const ids = rows.map(({ run }) => run.run_id).join(" ");
  useEffect(() => {
    const here = new Set(rows.map(({ run }) => run.run_id));
    for (const [id, row] of last.current) if (!here.has(id)) gone.current.set(id, { ...row, gone: true });
    for (const id of here) gone.current.delete(id);
    last.current = new Map(rows.map((row) => [row.run.run_id, row]));
    if (!gone.current.size) return undefined;
    redraw((n) => n + 1);
    const timer = setTimeout(() => {
      gone.current.clear();
      redraw((n) => n + 1);
    }, LEAVING_MS);
    return () => clearTimeout(timer);
  }, [ids]);
  const here = new Set(rows.map(({ run }) => run.run_id));
  return [...rows, ...[...gone.current.values()].filter(({ run }) => !here.has(run.run_id))];
}

/** `unread`: how many more there are than rows have been read, which `all` leads to.
 *  @param {{rows: {run: any, times: number}[], unread: number, all: string, findings: any[], now: number, loading: boolean}} of */
export function NeedsAPerson({ rows, unread, all: href, findings, now, loading }) {
  const [whole, setWhole] = useState(false);
  const named = new Set(rows.map(({ run }) => run.run_id));
  const others = findings.filter((finding) => !named.has(finding.run_id) && finding.severity !== "info");
  const most = whole ? rows.length : SHOWN;
  const all = useLeaving(rows.slice(0, most));
  const told = others.slice(0, whole ? others.length : FINDINGS);
  const n = rows.length + unread + others.length;
  const shown = Math.min(rows.length, most) + told.length;
  return html`<section aria-labelledby="h-needs" class="needs">
    <div class="sec-head"><h2 id="h-needs">Needs a person</h2><span class="sub">${n > 0 && `${shown < n ? `${count(shown)} of ` : ""}${count(n)} · worst first`}</span></div>
    <div class="panel">
      ${all.length + others.length === 0
        ? html`<p class="empty slim">${loading ? " " : "Nothing. The day goes by itself."}</p>`
        : html`<table class="att stack">
            <tbody>
              ${all.map((row) => html`<${Row} key=${row.run.run_id} row=${row} now=${now} />`)}
              ${told.map(
                (finding) => html`<tr key=${finding.key}>
                  <td class="m-st"><span class=${`state s-${finding.severity === "warning" ? "late" : "failure"}`}><${Icon} state=${finding.severity === "warning" ? "late" : "failure"} /><span>finding</span></span></td>
                  <td class="m-a">${finding.check}</td>
                  <td class="m-c cut dim" title=${finding.sentence}>${finding.sentence}</td>
                  <td class="m-b num"><${Time} at=${finding.since} /></td>
                  <td class="hide-m"></td>
                  <td class="num no-print"><span class="acts-on"><a class="btn small" href="/checks">Open</a></span></td>
                </tr>`,
              )}
            </tbody>
          </table>`}
      ${(whole || n - unread > shown || unread > 0) &&
      html`<p class="more-rows no-print">
        ${(whole || n - unread > shown) && html`<button class="btn plain small" aria-expanded=${whole ? "true" : "false"} onClick=${() => setWhole(!whole)}>${whole ? "Show the worst only" : `Show ${count(n - unread - shown)} more`}</button>`}
        ${unread > 0 && html`<a class="btn plain small" href=${href}>All that went wrong</a>`}
      </p>`}
    </div>
  </section>`;
}

function Row({ row, now }) {
  const { run, times, gone } = row;
  const late = !TROUBLE.has(run.state) && !run.held && lateness(run, now) > 0;
  const said = reason(run, now) || (late ? "due, and not started yet" : "");
  return html`<tr class=${gone ? "gone" : ""} data-run=${run.run_id}>
    <td class="m-st"><${State} run=${late ? "late" : run} /></td>
    <td class="m-a">${run.ad_hoc && html`<${AdHoc} of=${run} /> `}<${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
    <td class="m-c cut dim" title=${said}>${gone ? "no longer" : said}${times > 1 && html` <span class="faint">· ${count(times)} times</span>`}</td>
    <td class="m-b num">${late ? html`<${Late} run=${run} />` : html`<${Time} at=${run.schedule_time} />`}</td>
    <td class="hide-m" data-owner title=${run.owner}>${run.owner || html`<span class="faint">no owner</span>`}</td>
    <td class="num no-print">${!gone && html`<span class="acts-on"><${Deeds} run=${run} /></span>`}</td>
  </tr>`;
}

function Deeds({ run }) {
  const why = html`<a class="btn small" href=${`/runs/${run.run_id}#why`}>Why</a>`;
  const output = html`<a class="btn small" href=${`/runs/${run.run_id}#output`}>Output</a>`;
  const deed = (verb, words) => may("operator") && html`<button class="btn small" data-verb=${verb} onClick=${() => operate(run, verb)}>${words}</button>`;
  if (run.held) return html`${why}${deed("release", "Release")}`;
  if (run.state === "lost") return html`${why}${deed("mark", "Mark…")}`;
  if (run.state === "error") return html`${why}${deed("rerun", "Rerun")}`;
  if (run.state === "failure") return html`${output}${deed("rerun", "Rerun")}`;
  return html`${why}${["waiting", "scheduled"].includes(run.state) ? deed("start", "Start") : null}`;
}
