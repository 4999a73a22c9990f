// The text of a box that the address follows: it is said shortly after it is typed, and at once when it is sent.
import { useEffect, useRef, useState } from "./preact.js";

const TYPING_MS = 400;

/** @param {string} q what the address says @param {(q: string, replace: boolean) => void} say has the address say it
 *  @returns {{text: string, type: (text: string) => void, send: (text?: string) => void}} */
export function useTyped(q, say) {
  const [text, setText] = useState(q);
  const timer = useRef(0);
  const said = useRef(q);
  // Another page's link, or Back, says other words; those said here may be typed on by then.
  useEffect(() => {
    if (q === said.current) return;
    said.current = q;
    clearTimeout(timer.current);
    setText(q);
  }, [q]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const now = (words, replace) => {
    clearTimeout(timer.current);
    said.current = words.trim();
    say(said.current, replace);
  };
  const type = (words) => {
    setText(words);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => now(words, true), TYPING_MS);
  };
  const send = (words = text) => {
    setText(words);
    now(words, false);
  };
  return { text, type, send };
}
