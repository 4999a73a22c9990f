// What is drawn by window on a screen is whole on paper: asked for by Ctrl P, or by the browser's own menu.
import { useEffect, useState } from "./preact.js";

/** Whether the page is being printed: true from just before until just after. Drawn in time: the browser
 *  lays a page out for paper only after all who listen for it, and what they have put off by a microtask, are done.
 *  @returns {boolean} */
export function usePaper() {
  const [on, setOn] = useState(false);
  useEffect(() => {
    const begin = () => setOn(true);
    const end = () => setOn(false);
    addEventListener("beforeprint", begin);
    addEventListener("afterprint", end);
    return () => {
      removeEventListener("beforeprint", begin);
      removeEventListener("afterprint", end);
    };
  }, []);
  return on;
}

/** Print once all is there that is wanted on paper: Ctrl P asks for it, `ready` says whether it has come.
 *  @param {() => void} want asks for what is not there yet @param {() => boolean} ready */
export function usePrinted(want, ready) {
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    const onKey = (event) => {
      if (event.key.toLowerCase() !== "p" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      setAsked(true);
    };
    addEventListener("keydown", onKey, true);
    return () => removeEventListener("keydown", onKey, true);
  }, []);
  useEffect(() => {
    if (!asked) return;
    want();
    if (!ready()) return; // looked at again with what comes
    setAsked(false);
    print();
  });
}
