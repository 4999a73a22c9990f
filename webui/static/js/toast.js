// What happened to what you asked for: a success fades unless it is being looked at, an error stays until it is dismissed.
import { html, useEffect, useLayoutEffect, useState } from "./preact.js";
import { Icon } from "./parts.js";

const FADE_MS = 5000;
const MOST = 4;
let toasts = [];
let number = 0;
/** @type {(toasts: any[]) => void} */
let show = () => {};

function put(toast) {
  const same = toasts.find((one) => one.title === toast.title && one.text === toast.text);
  if (same) toasts = toasts.map((one) => (one === same ? { ...one, times: one.times + 1 } : one));
  else toasts = [...toasts, { ...toast, id: ++number, times: 1 }].slice(-MOST);
  show(toasts);
}

function drop(id) {
  toasts = toasts.filter((toast) => toast.id !== id);
  show(toasts);
}

/** @param {string} title @param {string} [text] @param {string} [href]
 *  @param {() => void} [undo] puts all back as it was; given only where that is so */
export function done(title, text = "", href = "", undo = undefined) {
  put({ kind: "success", title, text, href, undo });
}

/** Say that something did not happen, in the server's words. @param {string} title @param {any} error
 *  @param {[string, () => void]} [mend] what helps, and its name */
export function failed(title, error, mend = undefined) {
  const status = error.status ? `${error.status}: ` : "";
  const id = error.body?.request_id ? ` (request ${error.body.request_id})` : "";
  put({ kind: "failure", title, text: `${status}${error.message}${id}`, href: "", mend });
}

// From a module that toasts need themselves.
addEventListener("callsheet:failed", (event) => failed(.../** @type {CustomEvent<[string, any]>} */ (event).detail));

/** Do something and say how it went. @param {string} title @param {() => Promise<any>} act */
export async function attempt(title, act) {
  try {
    return await act();
  } catch (error) {
    failed(title, error);
    return null;
  }
}

export function Toasts() {
  const [all, setAll] = useState(toasts);
  useLayoutEffect(() => {
    show = setAll;
    setAll(toasts); // some may have come before the first drawing
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${all.map((toast) => html`<${Toast} key=${toast.id} toast=${toast} />`)}
  </div>`;
}

function Toast({ toast }) {
  const [isHovered, setHovered] = useState(false);
  const [isFocused, setFocused] = useState(false);
  const isLookedAt = isHovered || isFocused;
  useEffect(() => {
    if (toast.kind !== "success" || isLookedAt) return undefined;
    const timer = setTimeout(() => drop(toast.id), FADE_MS); // anew when it is left, or said again
    return () => clearTimeout(timer);
  }, [isLookedAt, toast.times]);
  const undo = () => {
    if (!toasts.some((one) => one.id === toast.id)) return; // a double click is one wish
    drop(toast.id);
    toast.undo();
  };
  return html`<div class=${`toast s-${toast.kind}`} role=${toast.kind === "failure" ? "alert" : undefined}
    onPointerEnter=${() => setHovered(true)} onPointerLeave=${() => setHovered(false)} onFocusIn=${() => setFocused(true)} onFocusOut=${() => setFocused(false)}>
    <${Icon} state=${toast.kind} />
    <b>${toast.href ? html`<a href=${toast.href}>${toast.title}</a>` : toast.title}${toast.times > 1 ? ` ×${toast.times}` : ""}</b>
    <span class="row">
      ${toast.undo && html`<button class="undo" aria-label=${`Undo: ${toast.title}`} onClick=${undo}>Undo</button>`}
      ${toast.mend && html`<button class="undo" onClick=${toast.mend[1]}>${toast.mend[0]}</button>`}
      <button aria-label="Dismiss" onClick=${() => drop(toast.id)}>✕</button>
    </span>
    ${toast.text && html`<small>${toast.text}</small>`}
  </div>`;
}
