// The box of a query: finished terms are chips, what is being typed is text, completions stand below.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { cut, parse } from "./querytext.js";
import { Wanted } from "./wanted.js";

const SETTLE_MS = 400;
/** So many runs of what was found are looked at for what a query could go on with. */
export const LOOKED_AT = 2000;
const completions = new Wanted(() => import("./completions.js").then((its) => its.completions));
// A key whose value is still to be typed asks for nothing yet.
const UNFINISHED = /^\s*!?\w+:\s*$/;

const NOTHING = { runs: [], counts: null };

/** @param {{q: string, set: (q: string, replace?: boolean) => void, found?: () => {runs: any[], counts: any}, error: any, live: string}} of
 *  `found`: what the present result is, which completions come from; `live`: how many were found, said aloud */
export function QueryBox({ q, set, found = () => NOTHING, error, live }) {
  const [chips, setChips] = useState(parse(q));
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const said = useRef(q);
  const timer = useRef(0);
  const input = useRef(null);
  // Another page's link, or Back, says another query than what was typed here.
  useLayoutEffect(() => {
    if (q === said.current) return;
    said.current = q;
    clearTimeout(timer.current);
    setChips(parse(q));
    setText("");
  }, [q]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const say = (terms, draft, replace) => {
    const next = [...terms.map((one) => one.text), UNFINISHED.test(draft) ? "" : draft.trim()].filter(Boolean).join(" ");
    said.current = next;
    if (next !== q) set(next, replace);
  };
  const change = (terms, draft, at_once) => {
    setChips(terms);
    setText(draft);
    setAt(-1);
    clearTimeout(timer.current);
    if (at_once) say(terms, draft, false);
    else timer.current = setTimeout(() => say(terms, draft, true), SETTLE_MS);
  };
  const onInput = (event) => {
    const found = cut(event.target.value);
    setOpen(true);
    if (found.terms.length - (found.open ? 1 : 0) === 0) return change(chips, event.target.value, false);
    const rest = found.open ? found.terms.pop() : "";
    return change([...chips, ...parse(found.terms.join(" "))], rest, false);
  };
  // What is half typed may find nothing: completions come from what was found before it.
  const pool = useRef(/** @type {any} */ (null));
  if (!text.trim()) pool.current = null;
  const [can, setCan] = useState(Boolean(completions.found));
  useEffect(() => {
    if (open && !can) completions.come().then(() => setCan(true), () => {}); // without them a query is typed whole
  }, [open]);
  const offered = useMemo(() => {
    if (!open || !completions.found) return [];
    const { runs, counts } = text.trim() ? (pool.current ??= found()) : found();
    return completions.found(text, runs, counts);
  }, [open, text, can]);
  const options = offered.flatMap((group) => group.options);
  const chosen = at >= 0 ? options[Math.min(at, options.length - 1)] : undefined;
  const take = (option, not) => {
    const term = not && !option.text.startsWith("!") ? `!${option.text}` : option.text;
    input.current?.focus();
    if (option.unfinished) return change(chips, term, false);
    setOpen(false);
    return change([...chips, ...parse(term)], "", true);
  };
  const onKey = (event) => {
    const { key } = event;
    if ((key === "ArrowDown" || key === "ArrowUp") && options.length) {
      event.preventDefault();
      setOpen(true);
      setAt(key === "ArrowDown" ? Math.min(options.length - 1, at + 1) : Math.max(-1, at - 1));
    } else if (key === "Tab" && !event.shiftKey && open && text.trim() && (chosen ?? options[0])) {
      event.preventDefault();
      take(chosen ?? options[0], false);
    } else if (key === "Enter") {
      event.preventDefault();
      if (chosen) take(chosen, event.altKey);
      else if (!UNFINISHED.test(text)) {
        setOpen(false);
        change([...chips, ...parse(text)], "", true);
      }
    } else if (key === "Escape" && open) {
      event.stopPropagation();
      setOpen(false);
    } else if (key === "Backspace" && chips.length && event.target.selectionStart === 0 && event.target.selectionEnd === 0) {
      event.preventDefault();
      change(chips.slice(0, -1), chips[chips.length - 1].text + text, false);
    }
  };
  const onCopy = (event) => {
    const { selectionStart: from, selectionEnd: to } = event.target;
    if (!chips.length || to - from < text.length) return;
    event.clipboardData.setData("text/plain", [...chips.map((one) => one.text), text].filter(Boolean).join(" "));
    event.preventDefault();
  };
  return html`<div class="query-w">
    <div class=${`query${error?.status === 400 ? " wrong" : ""}`} role="search" onClick=${(event) => event.target === event.currentTarget && input.current.focus()}>
      ${chips.map((one, i) => html`<${Chip} key=${i} term=${one} drop=${() => change(chips.filter((_, other) => other !== i), text, true)} />`)}
      <input
        id="query" ref=${input} value=${text} onInput=${onInput} onKeyDown=${onKey} onCopy=${onCopy}
        onFocus=${() => setOpen(true)} onBlur=${() => setOpen(false)}
        placeholder=${chips.length ? "" : "job words, state:, label:, arg=value, !not"} aria-label="Query" spellcheck="false" autocomplete="off" autocapitalize="off"
        role="combobox" aria-expanded=${open && options.length > 0} aria-controls="completions" aria-autocomplete="list"
        aria-activedescendant=${chosen ? `option-${options.indexOf(chosen)}` : undefined}
        aria-invalid=${error?.status === 400} aria-describedby=${error?.status === 400 ? "query-wrong" : undefined}
      /><kbd aria-hidden="true">/</kbd>
      ${open && options.length > 0 && html`<${Pop} offered=${offered} options=${options} chosen=${chosen} take=${take} />`}
    </div>
    ${error?.status === 400 && html`<p class="err" id="query-wrong" role="alert">${error.message}</p>`}
    <p class="sr" role="status">${live}</p>
  </div>`;
}

function Chip({ term, drop }) {
  const value = term.mark === "=" && term.value === "" ? "any" : term.value;
  return html`<span class=${`term${term.not ? " not" : ""}`} title=${term.text}>
    ${term.not && html`<i>not\u00a0</i>`}${term.key && html`<i>${term.key}${term.mark}</i>`}<b>${value}</b>
    <button type="button" aria-label=${`${term.not ? "not " : ""}${term.key} ${value}, remove`} onClick=${drop}>✕</button>
  </span>`;
}

function Pop({ offered, options, chosen, take }) {
  return html`<div class="pop" id="completions" role="listbox" aria-label="Completions" onMouseDown=${(event) => event.preventDefault()}>
    ${offered.map(
      (group) => html`<ul role="group" aria-label=${group.name}>
        <li class="ph" role="presentation">${group.name}</li>
        ${group.options.map(
          (option) => html`<li role="option" id=${`option-${options.indexOf(option)}`} aria-selected=${option === chosen} onClick=${(event) => take(option, event.altKey)}>
            ${option.shown ?? html`<b>${option.text}</b>`}<span class="r">${option.note}</span>
          </li>`,
        )}
      </ul>`,
    )}
    <p class="hint" aria-hidden="true"><kbd>Tab</kbd> takes · <kbd>Alt</kbd> <kbd>↵</kbd> excludes</p>
  </div>`;
}
