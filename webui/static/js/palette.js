// The palette's door: what it is about is known here, what it finds and does comes with it (palette_open.js).
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { Wanted, wanting } from "./wanted.js";

const VISITED = 6;
const opened = new Wanted(() => import("./palette_open.js").then((its) => its.Open));

let show = (_text, _run) => {};
/** Open it with a text; `run`: what the deeds are about. @param {string} [text] @param {any} [run] */
export function openPalette(text = "", run = null) {
  wanting(opened, () => show(text, run));
}

/** Remember a page for the empty palette. @param {string} path @param {string} name */
export function visited(path, name) {
  const old = JSON.parse(sessionStorage.getItem("visited") ?? "[]").filter(([one]) => one !== path);
  sessionStorage.setItem("visited", JSON.stringify([[path, name], ...old].slice(0, VISITED)));
}

/** @param {{pages: [string, string][], deeds: [string, () => void][]}} of the pages, and what can be done from anywhere */
export function Palette({ pages, deeds }) {
  const [asked, setAsked] = useState(/** @type {{text: string, run: any} | null} */ (null));
  const back = useRef(null);
  useLayoutEffect(() => {
    show = (text, run) => {
      back.current = document.activeElement;
      setAsked({ text, run });
    };
  }, []);
  if (!asked) return null;
  const close = () => {
    setAsked(null);
    back.current?.focus?.();
  };
  return html`<${opened.found} asked=${asked} pages=${pages} deeds=${deeds} close=${close} />`;
}
