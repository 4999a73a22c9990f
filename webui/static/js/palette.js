// The palette's door: what it is about is known here, what it finds and does comes with it (palette_open.js).
import { giveBack } from "./dialog.js";
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { Wanted, wanting } from "./wanted.js";

const VISITED = 6;
const opened = new Wanted(() => import("./palette_open.js").then((its) => its.Open));

/** What is asked of it; null: it is closed. @type {(asked: {text: string, run: any} | null) => void} */
let show = () => {};
let arrived = () => {};
/** Open it with a text; `run`: what the deeds are about. @param {string} [text] @param {any} [run] */
export async function openPalette(text = "", run = null) {
  show({ text, run });
  if (!opened.found && !(await wanting(opened, () => arrived()))) show(null);
}

/** Remember a page for the empty palette. @param {string} path @param {string} name */
export function visited(path, name) {
  const old = JSON.parse(sessionStorage.getItem("visited") ?? "[]").filter(([one]) => one !== path);
  sessionStorage.setItem("visited", JSON.stringify([[path, name], ...old].slice(0, VISITED)));
}

/** @param {{pages: [string, string][], deeds: [string, () => void][]}} of the pages, and what can be done from anywhere */
export function Palette({ pages, deeds }) {
  const [asked, setAsked] = useState(/** @type {{text: string, run: any} | null} */ (null));
  const [, redraw] = useState(0);
  const back = useRef(null);
  const close = () => {
    setAsked(null);
    giveBack(back.current);
  };
  useLayoutEffect(() => {
    show = (next) => {
      if (!next) return close();
      back.current = document.activeElement;
      return setAsked(next);
    };
    arrived = () => redraw((n) => n + 1);
  }, []);
  useLayoutEffect(() => {
    if (!asked) return undefined;
    addEventListener("popstate", close);
    return () => removeEventListener("popstate", close);
  }, [asked]);
  if (!asked) return null;
  if (opened.found) return html`<${opened.found} asked=${asked} pages=${pages} deeds=${deeds} close=${close} />`;
  return html`<${Early} text=${asked.text} type=${(text) => setAsked({ ...asked, text })} close=${close} />`;
}

/** Takes what is typed until the rest is here: a key that is meant for the palette is never one of the page. */
function Early({ text, type, close }) {
  const input = useRef(null);
  useLayoutEffect(() => input.current.focus(), []);
  const keys = (event) => {
    if (event.key === "Escape") close();
    event.stopPropagation();
  };
  return html`<div class="scrim" onKeyDown=${keys}>
    <div class="dialog palette" role="dialog" aria-modal="true" aria-label="Command palette">
      <input ref=${input} value=${text} aria-label="Go to or do" spellcheck="false" autocomplete="off" onInput=${(event) => type(event.target.value)} />
    </div>
  </div>`;
}
