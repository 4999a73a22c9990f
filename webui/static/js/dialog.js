// A question before what cannot be undone. The safe answer has the focus; Esc and the scrim are it.
import { html, useLayoutEffect, useRef, useState } from "./preact.js";

/** @type {(question: any) => void} */
let open = () => {};

/** Ask; resolves to the form's values, or null. `fields`: [{name, label, options?, value?, hint?}]. `grave`: the deed
 *  cannot be undone. @param {{title: string, text?: any, deed: string, safe?: string, fields?: any[], grave?: boolean}} question */
export function ask(question) {
  return new Promise((resolve) => open({ ...question, resolve }));
}

export function Dialogs() {
  const [question, setQuestion] = useState(null);
  const safe = useRef(null);
  const back = useRef(null);
  const asked = useRef(null);
  // Before the first paint, not after it: a key pressed the moment the dialog is seen belongs to the
  // dialog, never to the button below it.
  useLayoutEffect(() => {
    open = (next) => {
      // One question at a time: a newer one takes the older one back.
      if (asked.current) asked.current.resolve(null);
      else back.current = document.activeElement;
      asked.current = next;
      setQuestion(next);
    };
  }, []);
  useLayoutEffect(() => {
    if (!question) return undefined;
    (document.querySelector(".dialog .field") ?? safe.current)?.focus();
    // Who goes back with the browser leaves what is asked there.
    const left = () => close(null);
    addEventListener("popstate", left);
    return () => removeEventListener("popstate", left);
  }, [question]);
  if (!question) return null;
  const close = (value) => {
    asked.current = null;
    setQuestion(null);
    question.resolve(value);
    giveBack(back.current);
  };
  const submit = (event) => {
    event.preventDefault();
    close(Object.fromEntries(new FormData(event.target)));
  };
  const keys = (event) => {
    if (event.key === "Escape") close(null);
    if (event.key === "Tab") trap(event);
  };
  return html`<div class="scrim" onClick=${(event) => event.target === event.currentTarget && close(null)} onKeyDown=${keys}>
    <form class="dialog" role="alertdialog" tabindex="-1" aria-modal="true" aria-label=${question.title} onSubmit=${submit}>
      <header>${question.title}</header>
      <div class="body">
        ${question.text && html`<p class="dim">${question.text}</p>`}
        ${question.fields?.length > 0 &&
        html`<div class="form sec">
          ${question.fields.map(
            (field) => html`<label for=${`f-${field.name}`}>${field.label ?? field.name}</label>
              <div>
                ${field.options
                  ? html`<select class="field wide" id=${`f-${field.name}`} name=${field.name}>
                      ${field.options.map((option) => html`<option>${option}</option>`)}
                    </select>`
                  : html`<input class="field wide" id=${`f-${field.name}`} name=${field.name} defaultValue=${field.value ?? ""} autocomplete="off" />`}
                ${field.hint && html`<div class="hint">${field.hint}</div>`}
              </div>`,
          )}
        </div>`}
      </div>
      <footer>
        <button type="button" class="btn" ref=${safe} onClick=${() => close(null)}>${question.safe ?? "Cancel"}</button>
        <button type="submit" class=${question.grave ? "btn kill" : "btn main"}>${question.deed}</button>
      </footer>
    </form>
  </div>`;
}

/** The focus goes to where it was before a dialog; if that is not there any more, to the page. @param {any} element */
export function giveBack(element) {
  element?.focus?.();
  if (document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
}

/** Keep Tab within what is asked. */
export function trap(event) {
  const all = [...event.currentTarget.querySelectorAll("button:enabled, input, select, textarea")];
  const at = document.activeElement;
  const last = event.shiftKey ? all[0] : all[all.length - 1];
  if (at === last || !all.includes(at)) {
    event.preventDefault();
    (event.shiftKey ? all[all.length - 1] : all[0]).focus();
  }
}

// The keys are the dialog's, wherever the focus has come to: a click on its words leaves it with the page, and what
// had it may be gone. Before all others who listen.
addEventListener(
  "keydown",
  (event) => {
    const dialog = /** @type {HTMLElement | null} */ (document.querySelector(".dialog"));
    if (!dialog || dialog.contains(/** @type {Node} */ (event.target))) return;
    event.stopImmediatePropagation();
    (dialog.matches(".palette") ? dialog.querySelector("input") : dialog)?.focus();
    if (!dialog.dispatchEvent(new KeyboardEvent("keydown", event))) event.preventDefault();
  },
  true,
);
