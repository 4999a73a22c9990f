// The lines of an output as they come: kept as text, coloured once, searched. Pure but for its state.
import { newStyle, spans } from "./ansi.js";

// The page keeps the last lines of a long output; the whole is one click away.
export const MOST_LINES = 100_000;
// What is cut off at once when there are more: cutting at each line would cost too much.
const CUT = 10_000;

export class Lines {
  constructor() {
    this.first = 1;
    this.texts = [];
    this.spans = [];
    this.open = "";
    this.style = newStyle();
    this.decoder = new TextDecoder("utf-8");
  }

  /** @param {string} text */
  add(text) {
    const parts = (this.open + text).split("\n");
    this.open = parts.pop();
    for (const part of parts) {
      this.texts.push(part);
      this.spans.push(spans(part, this.style));
    }
    if (this.texts.length > MOST_LINES) {
      const extra = this.texts.length - MOST_LINES + CUT;
      this.texts.splice(0, extra);
      this.spans.splice(0, extra);
      this.first += extra;
    }
  }

  /** The bytes of a message as text. @param {any} message */
  decoded(message) {
    if (message.b64 === undefined) return message.data ?? "";
    const raw = Uint8Array.from(atob(message.b64), (letter) => letter.charCodeAt(0));
    return this.decoder.decode(raw, { stream: !message.ended });
  }

  get length() {
    return this.texts.length + (this.open ? 1 : 0);
  }

  /** The spans of the line at a place: [class, text] each. @param {number} place */
  line(place) {
    return place < this.spans.length ? this.spans[place] : spans(this.open, { ...this.style });
  }

  /** The line as the bytes that came, what cannot be seen escaped. @param {number} place */
  raw(place) {
    return escaped(place < this.texts.length ? this.texts[place] : this.open);
  }

  /** The line without its colours. @param {number} place */
  plain(place) {
    return this.line(place)
      .map(([, text]) => text)
      .join("");
  }
}

export function escaped(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\\]/g, (letter) => {
    if (letter === "\\") return "\\\\";
    if (letter === "\r") return "\\r";
    return `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

/** What a search means: a test of lines; null while it is none or no valid expression.
 *  @param {string} needle @param {boolean} isPattern @returns {RegExp | null} */
export function searcher(needle, isPattern) {
  if (!needle) return null;
  try {
    return new RegExp(isPattern ? needle : needle.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  } catch (error) {
    return null;
  }
}

/** Places of the lines that match. @param {Lines} lines @param {RegExp | null} pattern @returns {number[]} */
export function matching(lines, pattern) {
  if (!pattern) return [];
  const found = [];
  for (let place = 0; place < lines.length; place += 1) {
    pattern.lastIndex = 0;
    if (pattern.test(lines.plain(place))) found.push(place);
  }
  return found;
}

/** Cut spans where a pattern matches: [class, text, hit]. A hit may reach over spans.
 *  @param {any[]} line @param {RegExp | null} pattern */
export function marked(line, pattern) {
  if (!pattern) return line.map(([name, text]) => [name, text, false]);
  const whole = line.map(([, text]) => text).join("");
  const cuts = [];
  pattern.lastIndex = 0;
  for (const match of whole.matchAll(pattern)) if (match[0]) cuts.push([match.index, match.index + match[0].length]);
  const found = [];
  let at = 0;
  for (const [name, text] of line) {
    const end = at + text.length;
    let from = at;
    for (const [begin, stop] of cuts) {
      if (stop <= from || begin >= end) continue;
      if (begin > from) found.push([name, whole.slice(from, begin), false]);
      const upto = Math.min(stop, end);
      found.push([name, whole.slice(Math.max(begin, from), upto), true]);
      from = upto;
    }
    if (from < end) found.push([name, whole.slice(from, end), false]);
    at = end;
  }
  return found;
}
