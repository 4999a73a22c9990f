// The keyboard in a list of runs: one row has it. Keys do nothing while one types or a dialog is open.
import { useLayoutEffect } from "./preact.js";
import { get } from "./api.js";
import { copy } from "./clipboard.js";
import { ask } from "./dialog.js";
import { html } from "./preact.js";
import { openPalette } from "./palette.js";
import { go } from "./router.js";
import { attempt } from "./toast.js";
import { Wanted, wanting } from "./wanted.js";

const operations = new Wanted(() => import("./operations.js"));

/** @param {{lines: any, at: string | null, setAt: (id: string) => void, span: any, body: any, picks: Map<string, any>, setPicks: (picks: Map<string, any>) => void, toggle: any, group: () => void, flip: (id: string) => void}} of */
export function useRowKeys({ lines, at, setAt, span, body, picks, setPicks, toggle, group, flip }) {
  const find = () => lines.indexOf(at);
  const to = (next) => {
    const line = lines.get(next);
    if (!line?.run) return;
    setAt(line.run.run_id);
    const shown = body.current?.querySelector(`tr[data-run="${line.run.run_id}"]`);
    if (shown) shown.focus({ preventScroll: true });
    reveal(shown, body.current, next, span.height);
  };
  useLayoutEffect(() => {
    const onKey = (event) => {
      if (event.target.closest("input:not([type=checkbox]), textarea, select, .dialog, .pop")) return;
      const { key } = event;
      const place = find();
      const run = lines.get(place)?.run;
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
      const down = key === "j" || key === "J" || key === "ArrowDown";
      if (plain && (down || key === "k" || key === "ArrowUp")) {
        event.preventDefault();
        if (event.shiftKey && run) setPicks(new Map([...picks, [at, run]]));
        to(place < 0 ? 0 : place + (down ? 1 : -1));
      } else if (plain && (key === "Home" || key === "End") && run) to(key === "Home" ? 0 : lines.length - 1);
      else if (key === "a" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        setPicks(new Map(lines.runs().map((one) => [one.run_id, one])));
      } else if (key === "Escape" && picks.size) setPicks(new Map());
      else if (plain && key === "e") (lines.get(place)?.others > 1 ? flip(at) : group());
      else if ((key === "i" || key === "!") && event.target.dataset?.term) toggle(event.target.dataset.term, { not: key === "!" });
      else if (run) onRow(event, plain, run);
    };
    const onRow = (event, plain, run) => {
      const { key } = event;
      const part = event.target.closest("[role=button], [role=checkbox]");
      if ((key === "Enter" || key === " ") && part) {
        event.preventDefault();
        part.click();
        return;
      }
      if (key === "Enter" && event.target.closest("button, a, input")) return;
      if ((key === "Enter" || key === "o") && !event.altKey) {
        if (event.ctrlKey || event.metaKey) open(`/runs/${at}`, "_blank", "noopener");
        else go(`/runs/${at}`);
      } else if (key.toLowerCase() === "y" && !event.ctrlKey && !event.metaKey) {
        const text = event.altKey ? `callsheet run ${at}` : key === "Y" ? `${location.origin}/runs/${at}` : at;
        copy(text, text);
      } else if (!plain) return;
      else if (key === "x" || key === " ") {
        event.preventDefault();
        const next = new Map(picks);
        if (!next.delete(at)) next.set(at, run);
        setPicks(next);
      } else if (key === "w") why(run);
      else if (key === ".") openPalette(">", run);
      else if (key.length === 1) {
        wanting(operations, ({ operate, verbOf }) => {
          const verb = verbOf(run, key);
          if (verb) operate(run, verb);
        });
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}

function reveal(row, body, index, height) {
  if (row) return row.scrollIntoView({ block: "nearest" });
  const top = body.getBoundingClientRect().top + scrollY + index * height;
  return scrollTo(0, Math.max(0, top - innerHeight / 2));
}

async function why(run) {
  const answer = await attempt(`Could not ask why of ${run.run_id}`, () => get(`/api/v2/runs/${run.run_id}`));
  if (!answer) return;
  const text = html`<div class="why">${answer.run.why.map((sentence) => html`<p>${sentence}</p>`)}</div>`;
  const opened = await ask({ title: `Why ${run.job_id} ${run.run_id}`, text, deed: "Open the run", safe: "Close" });
  if (opened) go(`/runs/${run.run_id}`);
}
