// Text to read and to copy: YAML, JSON, and what changed between two of them.
import { html, useLayoutEffect, useRef } from "./preact.js";
import { copy } from "./clipboard.js";
import { Panel } from "./parts.js";
import { changedOnly, lineDiff } from "./yaml.js";

/** @param {{title: string, text: string, id: string, href?: string, close?: () => void}} of */
export function Source({ title, text, id, href, close }) {
  const own = useRef(null);
  useLayoutEffect(() => own.current.scrollIntoView({ block: "nearest" }), []); // it has been asked for
  const end = html`<button class="btn plain small" onClick=${() => copy(text, title)}>Copy</button>
    ${href && html`<a class="btn plain small" href=${href} target="_blank" rel="noopener">Raw</a>`}
    ${close && html`<button class="btn plain small" onClick=${close}>Close</button>`}`;
  return html`<section class="panel sec-b" id=${id} data-source=${id} ref=${own}>
    <header><h2>${title}</h2><div class="end">${end}</div></header>
    <pre class="yaml source" tabindex="0">${text}</pre>
  </section>`;
}

/** @param {{before: string, after: string}} of */
export function Diff({ before, after }) {
  const lines = lineDiff(before, after);
  const shown = before && after ? changedOnly(lines) : lines;
  if (!shown.length) return html`<p class="empty slim">There is no difference.</p>`;
  return html`<ul class="diff" tabindex="0" aria-label="What changes, line by line">
    ${shown.map(
      ([sign, from, to, text]) => html`<li class=${sign === "+" ? "add" : sign === "-" ? "del" : ""}><span>${from}</span><span>${to}</span><span>${sign}</span>${text || " "}</li>`,
    )}
  </ul>`;
}

export function DiffPanel({ title, sub, before, after, id, close }) {
  return html`<div id=${id} data-source=${id} class="sec-b"><${Panel} title=${title} sub=${sub} end=${close && html`<button class="btn plain small" onClick=${close}>Close</button>`}><${Diff} before=${before} after=${after} /><//></div>`;
}
