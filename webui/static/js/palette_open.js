// The palette, open: go to a page, a job, a run, an agent, or do something, by a few letters.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { get, jobPath, query as asQuery } from "./api.js";
import { shownState } from "./format.js";
import { allowed, labelOf, operate } from "./operations.js";
import { Args, Icon, JobName } from "./parts.js";
import { go } from "./router.js";
import { savedQueries } from "./saved.js";
import { may } from "./session.js";

const MOST = 8;
const WAIT_MS = 120;
const KINDS = ["Jobs", "Runs", "Agents", "Saved queries", "Pages", "Do"];

/** @param {{asked: {text: string, run: any}, pages: [string, string][], deeds: [string, () => void][], close: () => void}} of */
export function Open({ asked, pages, deeds, close }) {
  const [text, setText] = useState(asked.text);
  const [at, setAt] = useState(0);
  const [kind, setKind] = useState("");
  const input = useRef(null);
  const list = useRef(null);
  const only = text.startsWith(">");
  const words = text.replace(/^>/, "").trim();
  const found = useFound(words, only);
  useLayoutEffect(() => input.current.focus(), []);
  useLayoutEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at, text]);
  const groups = useMemo(() => {
    const some = groupsOf({ words, only, found, pages, deeds, run: asked.run });
    return kind ? some.filter((group) => group.name === kind) : some;
  }, [words, only, found, kind, asked]);
  const options = groups.flatMap((group) => group.options);
  const chosen = options[Math.min(at, options.length - 1)];
  const take = (option) => {
    close();
    option.act();
  };
  const keys = (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") setAt(Math.max(0, Math.min(options.length - 1, at + (event.key === "ArrowDown" ? 1 : -1))));
    else if (event.key === "Tab") {
      const names = ["", ...KINDS.filter((name) => name === kind || groups.some((group) => group.name === name))];
      setKind(names[(names.indexOf(kind) + 1) % names.length]);
      setAt(0);
    } else if (event.key === "Enter") {
      const deed = options.find((option) => option.deed);
      const wanted = event.altKey ? deed : chosen;
      if (wanted) take(wanted);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="scrim" onClick=${(event) => event.target === event.currentTarget && close()} onKeyDown=${keys}>
    <div class="dialog palette" role="dialog" aria-modal="true" aria-label="Command palette">
      <input
        ref=${input} value=${text} aria-label="Go to or do" placeholder="a page, a job, r and a run's number, > to do something" spellcheck="false" autocomplete="off" autocapitalize="off"
        role="combobox" aria-expanded="true" aria-controls="matches" aria-activedescendant=${chosen ? `match-${options.indexOf(chosen)}` : undefined}
        onInput=${(event) => {
          setText(event.target.value);
          setAt(0);
        }}
      />
      <div class="pop" id="matches" role="listbox" aria-label="Matches" ref=${list}>
        ${options.length === 0 && html`<p class="empty slim" role="option" aria-selected="false" aria-disabled="true">Nothing that is called so.</p>`}
        ${groups.map(
          (group) => html`<ul role="group" aria-label=${group.name}>
            <li class="ph" role="presentation">${group.name}</li>
            ${group.options.map((option) => {
              const index = options.indexOf(option);
              return html`<li role="option" id=${`match-${index}`} aria-selected=${option === chosen} onMouseMove=${() => setAt(index)} onClick=${() => take(option)}>${option.shown}<span class="r">${option.note}</span></li>`;
            })}
          </ul>`,
        )}
      </div>
    </div>
  </div>`;
}

/** Jobs, runs and agents that a text may mean; asked for once it has rested. */
function useFound(words, only) {
  const [all, setAll] = useState({ jobs: [], agents: [] });
  const [runs, setRuns] = useState([]);
  useEffect(() => {
    let live = true;
    const keep = (name) => (value) => live && setAll((old) => ({ ...old, [name]: value[name] }));
    get("/api/v2/jobs").then(keep("jobs"), () => {});
    get("/api/v2/agents").then(keep("agents"), () => {});
    return () => {
      live = false;
    };
  }, []);
  useEffect(() => {
    let live = true;
    const id = /^r?\d+$/.test(words) ? `id:r${words.replace(/^r/, "")}` : "";
    if (!words || only) setRuns([]);
    const ask = () =>
      get(`/api/v2/runs${asQuery({ q: id || words.replace(/[^\p{L}\p{N}/ ]/gu, " "), limit: 5, counts: "0" })}`).then(
        (page) => live && setRuns(page.runs),
        () => live && setRuns([]), // it may be no query yet
      );
    const timer = words && !only ? setTimeout(ask, WAIT_MS) : 0;
    return () => {
      live = false;
      clearTimeout(timer);
    };
  }, [words, only]);
  return { ...all, runs };
}

function groupsOf({ words, only, found, pages, deeds, run }) {
  const parts = words.toLowerCase().split(/[\s/]+/).filter(Boolean);
  const fits = (text) => parts.every((part) => text.toLowerCase().includes(part));
  const marked = (text) => html`<${Marked} text=${text} parts=${parts} />`;
  const place = (path, name) => ({ shown: marked(name), note: path, act: () => go(path) });
  const jobs = parts.length && !only ? found.jobs.filter((job) => fits(job.job_id)).slice(0, MOST) : [];
  const best = jobs[0];
  const doing = run ? runDeeds(run) : best ? jobDeeds(best) : [];
  const general = deeds.filter(([name]) => fits(name)).map(([name, act]) => ({ shown: marked(name), note: "", deed: true, act }));
  const visits = words || only ? [] : JSON.parse(sessionStorage.getItem("visited") ?? "[]");
  return [
    { name: "Visited", options: visits.map(([path, name]) => place(path, name)) },
    {
      name: "Jobs",
      options: jobs.map((job) => ({ shown: html`<span class="job">${marked(job.job_id)}</span>`, note: "open job", act: () => go(`/job/${jobPath(job.job_id)}`) })),
    },
    {
      name: "Runs",
      options: found.runs.map((one) => ({
        shown: html`<${Icon} state=${shownState(one)} /><${JobName} id=${one.job_id} href=${null} /> <${Args} args=${one.args} />`,
        note: `${shownState(one)} · ${one.run_id}`,
        act: () => go(`/runs/${one.run_id}`),
      })),
    },
    { name: "Agents", options: parts.length && !only ? found.agents.filter((agent) => fits(agent.agent_id)).slice(0, 3).map((agent) => ({ shown: marked(agent.agent_id), note: agent.state, act: () => go(`/agents/${encodeURIComponent(agent.agent_id)}`) })) : [] },
    { name: "Saved queries", options: only ? [] : savedQueries().filter(([name]) => fits(name)).map(([name, path]) => place(path, name)) },
    { name: "Pages", options: only ? [] : pages.filter(([, name]) => fits(name)).map(([path, name]) => place(path, name)) },
    { name: "Do", options: [...(run || parts.length ? doing : []), ...(only || parts.length ? general : [])].slice(0, 12) },
  ].filter((group) => group.options.length);
}

function runDeeds(run) {
  return allowed(run).map((verb) => ({ shown: html`<span>${labelOf(verb)} <b>${run.job_id}</b> ${run.run_id}</span>`, note: "", deed: true, act: () => operate(run, verb) }));
}

function jobDeeds(job) {
  const to = `/job/${jobPath(job.job_id)}`;
  const name = html`<b>${job.job_id}</b>`;
  const run = may("operator") ? [{ shown: html`<span>Run ${name} now…</span>`, note: html`<kbd>Alt</kbd> <kbd>↵</kbd>`, deed: true, act: () => go(`${to}?run`) }] : [];
  return [
    ...run,
    { shown: html`<span>All runs of ${name}</span>`, note: "", deed: !run.length, act: () => go(`/runs${asQuery({ q: `job:${JSON.stringify(job.job_id)}` })}`) },
    { shown: html`<span>Why has ${name} not run?</span>`, note: "", act: () => go(`/why${asQuery({ job: job.job_id })}`) },
    { shown: html`<span>Failures of ${name}</span>`, note: "", act: () => go(`/runs${asQuery({ q: `job:${JSON.stringify(job.job_id)} state:failure,error,lost` })}`) },
  ];
}

/** A text with the letters that were asked for marked. */
function Marked({ text, parts }) {
  const low = text.toLowerCase();
  const spans = parts.map((part) => [low.indexOf(part), part.length]).filter(([from]) => from >= 0).sort((a, b) => a[0] - b[0]);
  const pieces = [];
  let end = 0;
  for (const [from, length] of spans) {
    if (from < end) continue;
    pieces.push(text.slice(end, from), html`<mark>${text.slice(from, from + length)}</mark>`);
    end = from + length;
  }
  return html`${pieces}${text.slice(end)}`;
}
