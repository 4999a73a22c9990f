// Checks: what the sanity checker has found and nobody has mended, and what holds.
import { html, useEffect, useState } from "../preact.js";
import { Icon, Panel, Time, Trouble } from "../parts.js";
import { post, query as asQuery } from "../api.js";
import { count, counted, dayOf } from "../format.js";
import { may } from "../session.js";
import { stream, useNow } from "../stream.js";
import { attempt, done } from "../toast.js";
import { useGet, useRefreshed } from "../views_common.js";

const REREAD_MS = 5000;
const CLOSED = 20;
const SIGNS = { error: "failure", warning: "late", info: "waiting" };
const WORST = ["error", "warning", "info"];
// What a check looks for, as a property that holds or does not.
const LOOKS_FOR = {
  late: "runs that are due and have not begun",
  "started-late": "runs that began well after their time",
  missing: "nominal times without a run",
  unscheduled: "runs of schedules that no schedule names",
  double: "two runs of one instance and time, or a run that began twice",
  orphan: "runs that run here and that no agent knows",
  stray: "processes on agents that belong to no run",
  stuck: "runs that stay between two states",
  silent: "agents without a word that have runs",
  drift: "differences between the ledger's memory and its store",
  unread: "rows of the database that cannot be read",
  clock: "agents whose clocks go wrong",
  disk: "disks that are nearly full",
  calendar: "calendars that end soon",
  schedule: "schedules that are written less far ahead than they should be",
};

export function ChecksView() {
  const { value, error, again } = useGet("/api/v2/checks");
  useEffect(() => stream.follow({ topic: "checks" }, again, again), []);
  const day = dayOf(useNow());
  const today = useGet(`/api/v2/day${asQuery({ from: day.since, to: day.until, bins: 1 })}`);
  useRefreshed(today.again, REREAD_MS);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  // What stands above all else is waited for, that nothing moves down when it comes.
  if (!value || !(today.value || today.error)) return html`<div class="top"><h1>Checks</h1></div>`;
  const checkNow = async () => {
    if (await attempt("Could not ask for a round of checks", () => post("/api/v2/checks"))) done("A round of checks is asked for");
  };
  const findings = [...value.findings].sort((a, b) => WORST.indexOf(a.severity) - WORST.indexOf(b.severity) || String(a.since).localeCompare(String(b.since)));
  return html`<div>
    <div class="top"><h1>Checks</h1><span class="dim small">${value.checked_at ? html`last round <${Time} at=${value.checked_at} full />` : "not checked yet"}</span><span class="grow"></span>${may("operator") && html`<button class="btn" onClick=${checkNow}>Check now</button>`}</div>
    ${today.value?.all.expected > 0 && html`<${Fates} of=${today.value.all} />`}
    <section class="sec"><${Panel} title="Findings" sub=${findings.length ? `${count(findings.length)} open · worst first` : ""}>
      ${findings.length === 0
        ? html`<p class="empty slim"><span class="state s-success"><${Icon} state="success" /><span>Everything checked holds.</span></span></p>`
        : html`<table class="runs stack">
            <colgroup><col class="col-state" /><col class="col-arg" /><col /><col class="col-time" /><col class="col-run" /><col class="col-late" /></colgroup>
            <tbody>${findings.map((finding) => html`<${FindingRow} key=${finding.key} finding=${finding} />`)}</tbody>
          </table>`}
    <//></section>
    <section class="sec"><${Checked} kinds=${value.kinds} findings=${findings} round=${value.rounds[0]} /></section>
    ${value.closed.length > 0 && html`<section class="sec"><${Closed} closed=${value.closed} /></section>`}
  </div>`;
}

function FindingRow({ finding }) {
  const [open, setOpen] = useState(false);
  const sign = SIGNS[finding.severity] ?? "late";
  const facts = Object.entries(finding.evidence ?? {});
  return html`<tr data-finding=${finding.check}>
      <td class="m-st"><span class=${`state s-${sign}`}><${Icon} state=${sign} /><span>${finding.severity}</span></span></td>
      <td class="strong">${finding.check}</td>
      <td class="m-a said">${finding.sentence}${finding.remedy && html`<div class="faint small">${finding.remedy}</div>`}</td>
      <td class="m-b num"><${Time} at=${finding.since} /></td>
      <td class="m-d num">${finding.run_id && html`<a class="rid" href=${`/runs/${finding.run_id}#why`}>${finding.run_id}</a>`}</td>
      <td class="num">${facts.length > 0 && html`<button class="btn small" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>Evidence</button>`}</td>
    </tr>
    ${open && html`<tr class="sub"><td colspan="6"><dl class="kv">${facts.map(([name, fact]) => html`<dt>${name}</dt><dd class="mono said">${typeof fact === "string" ? fact : JSON.stringify(fact)}</dd>`)}</dl></td></tr>`}`;
}

/** What was found and is not so any more. */
function Closed({ closed }) {
  return html`<${Panel} title="Closed lately" sub=${count(closed.length)}>
    <table class="runs stack">
      <colgroup><col class="col-arg" /><col /><col class="col-time" /><col class="col-time" /></colgroup>
      <tbody>${closed.slice(0, CLOSED).map((finding) => html`<tr key=${`${finding.key} ${finding.since}`}><td class="dim">${finding.check}</td><td class="m-a cut dim" title=${finding.sentence}>${finding.sentence}</td><td class="m-b num dim"><${Time} at=${finding.since} /></td><td class="num dim">${finding.closed && html`<${Time} at=${finding.closed} />`}</td></tr>`)}</tbody>
    </table>
  <//>`;
}

function Checked({ kinds, findings, round }) {
  const n = {};
  const worst = {};
  for (const finding of findings) {
    n[finding.check] = (n[finding.check] ?? 0) + 1;
    worst[finding.check] ??= finding.severity;
  }
  const sorted = [...kinds].sort((a, b) => (n[b] ?? 0) - (n[a] ?? 0));
  return html`<${Panel} title="What is checked">
    <table class="ck2">
      <thead><tr><th>State</th><th>Check</th><th>Looks for</th><th class="num">Last</th></tr></thead>
      <tbody>
        ${sorted.map((kind) => {
          const unknown = !round ? "not yet" : round.left_out.includes(kind) ? "left out" : "";
          const sign = n[kind] ? SIGNS[worst[kind]] : unknown ? "scheduled" : "success";
          return html`<tr key=${kind} data-check=${kind}>
            <td><span class=${`state s-${sign}`}><${Icon} state=${sign} /><span>${n[kind] ? `found ${n[kind]}` : unknown || "holds"}</span></span></td>
            <td class="strong">${kind}</td>
            <td class="dim">${LOOKS_FOR[kind] ?? ""}</td>
            <td class="num"><${Time} at=${round?.at} full /></td>
          </tr>`;
        })}
      </tbody>
    </table>
  <//>`;
}

/** @type {[string, string[], string][]} */
const FATES = [
  ["ran", ["success", "failure", "error", "lost"], "success"],
  ["running or waiting", ["starting", "running", "stopping", "waiting"], "running"],
  ["held", ["held"], "held"],
  ["skipped", ["skipped"], "skipped"],
  ["to come", ["scheduled"], "scheduled"],
];

/** All runs of the day by their fate: one bar, each with its number. */
function Fates({ of: { counts, expected } }) {
  const parts = FATES.map(([name, states, colour]) => [name, states.reduce((sum, state) => sum + (counts[state] ?? 0), 0), colour]);
  const wrong = ["failure", "error", "lost"].reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const notes = { ran: wrong ? `${count(parts[0][1] - wrong)} success, ${count(wrong)} not` : "", skipped: "each with its reason" };
  let at = 0;
  return html`<${Panel} title="The fate of today's runs" sub="every run that is expected from midnight to midnight has one" end=${html`<span class="dim small">${counted(expected, "run")}</span>`}>
    <div class="pad">
      <svg class="auditbar" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label=${parts.map(([name, n]) => `${count(n)} ${name}`).join(", ")}>
        ${parts.map(([name, n, colour]) => {
          const x = at;
          at += (n / expected) * 1000;
          return n > 0 && html`<rect key=${name} class=${`f-${colour}`} x=${x} y="0" width=${Math.max(1, at - x - 1)} height="14" />`;
        })}
      </svg>
      <div class="legend sec-s">${parts.map(([name, n, colour]) => n > 0 && html`<span key=${name}><svg class="k" viewBox="0 0 18 10" aria-hidden="true"><rect class=${`f-${colour}`} width="18" height="10" /></svg>${name} <b>${count(n)}</b> ${notes[name] && html`<span class="faint">${notes[name]}</span>`}</span>`)}</div>
    </div>
  <//>`;
}
