// What is loaded when it is first wanted: each view, and what a view needs only sometimes.
// A browser may remember for as long as a page lives that a module did not come. What helps then is the page, loaded anew.
import { html, useEffect, useState } from "./preact.js";
import { get } from "./api.js";
import { passes } from "./again.js";
import { failed } from "./toast.js";

const REST_MS = 10_000;

/** Everything that may be wanted, as far as it is known. @type {Set<Wanted<any>>} */
const all = new Set();

/** Something that a module has. @template T */
export class Wanted {
  #load;
  /** @type {Promise<T> | null} */
  #coming = null;
  /** It, once it is here. @type {T | undefined} */
  found = undefined;

  /** @param {() => Promise<T>} load */
  constructor(load) {
    this.#load = load;
    all.add(this);
  }

  /** It, now or as soon as it is here; after a failure it is asked for again. @returns {Promise<T>} */
  come() {
    this.#coming ??= this.#load().then(
      (found) => (this.found = found),
      (error) => {
        this.#coming = null;
        throw error;
      },
    );
    return this.#coming;
  }
}

/** Whether the server answers, whatever it says. */
export function answers() {
  return get("/api/v1/alive").then(
    () => true,
    (error) => !passes(error),
  );
}

/** Do something with what is wanted: at once if it is here. Where it cannot come, that is said.
 *  @template T @param {Wanted<T>} wanted @param {(found: T) => void} act @returns {Promise<boolean>} whether it came */
export async function wanting(wanted, act) {
  if (!wanted.found) {
    try {
      await wanted.come();
    } catch (error) {
      if (await answers()) failed("This part of the console could not be loaded", { message: "The server may have a newer one by now." }, ["Load this page anew", () => location.reload()]);
      else failed("This part of the console is not loaded yet", { message: "the server does not answer" });
      return false;
    }
  }
  act(/** @type {T} */ (wanted.found));
  return true;
}

/** A component that is loaded when it is first drawn; nothing is there before. @param {{it: Wanted<any>} & Record<string, any>} of */
export function Loaded({ it, ...props }) {
  const [, redraw] = useState(0);
  useEffect(() => {
    let live = true;
    if (!it.found) wanting(it, () => live && redraw((n) => n + 1));
    return () => {
      live = false;
    };
  }, [it]);
  return it.found ? html`<${it.found} ...${props} />` : null;
}

/** Load what was not wanted yet, one after the other, once the page has been at rest for a while: it is here then when
 *  the server is not. Returns a function that takes this back. */
export function loadAtRest() {
  const { connection } = /** @type {any} */ (navigator);
  if (connection?.saveData || matchMedia("(prefers-reduced-data: reduce)").matches) return () => {};
  const whenIdle = window.requestIdleCallback ?? ((act) => setTimeout(act, 1));
  let stopped = false;
  let timer = 0;
  const next = () => {
    const one = [...all].find((some) => !some.found);
    if (stopped || !one) return;
    if (document.visibilityState !== "visible") timer = setTimeout(next, REST_MS);
    else one.come().then(() => whenIdle(next), () => {}); // what does not come now is asked for when it is wanted
  };
  timer = setTimeout(() => whenIdle(next), REST_MS);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
