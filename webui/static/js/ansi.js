// Terminal output to spans of a fixed list of classes: never markup, never inline style.

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
// eslint-disable-next-line no-control-regex
const SEQUENCE = /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Za-z0-9]|\x1b[=>78MDEHc]/g;

function fresh() {
  return { colour: null, dim: false, bold: false, italic: false, underline: false, inverse: false };
}

/** Nearest of the eight colours. */
function nearest(r, g, b) {
  if (Math.max(r, g, b) - Math.min(r, g, b) < 40) return r > 120 ? "white" : "black";
  const bits = (r > 100 ? 1 : 0) | (g > 100 ? 2 : 0) | (b > 100 ? 4 : 0);
  return COLOURS[bits];
}

function indexed(n) {
  if (n < 16) return COLOURS[n % 8];
  if (n >= 232) return n > 243 ? "white" : "black";
  const level = (v) => (v ? 55 + v * 40 : 0);
  const i = n - 16;
  return nearest(level(Math.floor(i / 36)), level(Math.floor(i / 6) % 6), level(i % 6));
}

function apply(style, text) {
  const codes = text.split(/[;:]/).map((code) => Number(code || 0));
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) Object.assign(style, fresh());
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code >= 30 && code <= 37) style.colour = COLOURS[code - 30];
    else if (code >= 90 && code <= 97) style.colour = COLOURS[code - 90];
    else if (code === 39) style.colour = null;
    else if (code === 38 || code === 48) {
      const paint = code === 38;
      if (codes[i + 1] === 5) {
        if (paint) style.colour = indexed(codes[i + 2] ?? 0);
        i += 2;
      } else if (codes[i + 1] === 2) {
        if (paint) style.colour = nearest(codes[i + 2] ?? 0, codes[i + 3] ?? 0, codes[i + 4] ?? 0);
        i += 4;
      }
    }
  }
}

function classOf(style) {
  const names = [];
  if (style.colour) names.push(`a-${style.colour}`);
  for (const name of ["dim", "bold", "italic", "underline", "inverse"]) if (style[name]) names.push(`a-${name}`);
  return names.join(" ");
}

/** Cut a line into spans: a list of [class, text]; the style carries over to the next line.
 *  @param {string} line @param {any} style as returned by `newStyle` */
export function spans(line, style) {
  const shown = line.includes("\r") ? line.replace(/\r+$/, "").split("\r").pop() : line;
  const found = [];
  let at = 0;
  for (const match of shown.matchAll(SEQUENCE)) {
    if (match.index > at) found.push([classOf(style), shown.slice(at, match.index)]);
    if (match[2] === "m" && !/[<-?]/.test(match[1])) apply(style, match[1]);
    at = match.index + match[0].length;
  }
  if (at < shown.length) found.push([classOf(style), shown.slice(at)]);
  // eslint-disable-next-line no-control-regex
  return found.map(([name, text]) => [name, struck(text).replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "\u00b7")]);
}

/** A text in which each backspace has taken the letter before it away. @param {string} text */
function struck(text) {
  if (!text.includes("\b")) return text;
  const letters = [];
  for (const letter of text) {
    if (letter === "\b") letters.pop();
    else letters.push(letter);
  }
  return letters.join("");
}

export const newStyle = fresh;
