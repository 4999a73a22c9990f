// What a chart says, as a table in its place: for who does not see it, and for who wants the numbers.
import { html, useState } from "./preact.js";
import { count } from "./format.js";

// Rows drawn at first, and more with each wish for more.
const PAGE = 500;

/** @param {string} name of the chart @param {string[]} head the names of the columns
 *  @param {() => any[][]} rows asked for while the table is shown alone; a cell is text or markup, the first names its row
 *  @returns {{button: any, table: any}} the switch, and the table: null while the chart is shown */
export function useTable(name, head, rows) {
  const [isOn, setOn] = useState(false);
  const [most, setMost] = useState(PAGE);
  const button = html`<button class="btn small no-print as-table" aria-pressed=${isOn ? "true" : "false"} aria-label=${`Show as table: ${name}`} onClick=${() => setOn(!isOn)}>Show as table</button>`;
  if (!isOn) return { button, table: null };
  const all = rows();
  const table = html`<div class="numbers" tabindex="0" role="region" aria-label=${`${name} as table`}>
    <table>
      <thead><tr>${head.map((one) => html`<th scope="col">${one}</th>`)}</tr></thead>
      <tbody>${all.slice(0, most).map((row) => html`<tr>${row.map((cell, place) => (place === 0 ? html`<th scope="row">${cell}</th>` : html`<td>${cell}</td>`))}</tr>`)}</tbody>
    </table>
    ${all.length === 0 && html`<p class="empty slim">There is nothing in it.</p>`}
    ${all.length > most && html`<p class="empty slim"><button class="btn small" onClick=${() => setMost(most + PAGE)}>${count(all.length - most)} more rows, show ${count(Math.min(all.length - most, PAGE))}</button></p>`}
  </div>`;
  return { button, table };
}
