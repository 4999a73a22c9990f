// The text of a query as terms: the same grammar as the server's (docs/queries.md). Pure.

/** @typedef {{text: string, not: boolean, key: string, mark: string, value: string}} Term */

const KEY = /^[A-Za-z_]\w*$/;
const BEFORE_QUOTE = "!:=,(";
/** Keys of which two values in one term are "either". */
const LISTS = new Set(["state", "label", "owner", "agent", "id"]);

/** Cut a text at blanks outside of quotes. `open`: the last one is still being typed.
 *  @param {string} text @returns {{terms: string[], open: boolean}} */
export function cut(text) {
  const terms = [];
  let term = "";
  let quote = "";
  let escaped = false;
  for (const char of text) {
    if (quote) {
      term += char;
      if (escaped) escaped = false;
      else if (char === "\\") escaped = true;
      else if (char === quote) quote = "";
    } else if (/\s/.test(char)) {
      if (term) terms.push(term);
      term = "";
    } else {
      if ((char === '"' || char === "'") && (!term || BEFORE_QUOTE.includes(term.at(-1) ?? ""))) quote = char;
      term += char;
    }
  }
  if (term) terms.push(term);
  return { terms, open: term !== "" };
}

/** The terms of a query. @param {string} text @returns {Term[]} */
export function parse(text) {
  return cut(text).terms.map(read);
}

/** @param {string} text @returns {Term} */
export function read(text) {
  const not = text.startsWith("!");
  const bare = not ? text.slice(1) : text;
  const at = bare.search(/[:=]/);
  const key = at > 0 && !/["']/.test(bare.slice(0, at)) ? bare.slice(0, at) : "";
  if (!key || (bare[at] === ":" && !KEY.test(key))) return { text, not, key: "", mark: "", value: bare };
  return { text, not, key, mark: bare[at], value: bare.slice(at + 1) };
}

/** A value as it has to be written in a term. @param {string} value */
export function quoted(value) {
  return value !== "" && /^[^\s"'\\,!:=(]+$/.test(value) ? value : `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

/** @param {string} key @param {string} value @param {string} [mark] @param {boolean} [not] */
export function term(key, value, mark = ":", not = false) {
  return `${not ? "!" : ""}${key}${key ? mark : ""}${quoted(value)}`;
}

/** The query with a term in it, or without it if it was there. What contradicts it goes: the same term the
 *  other way round, and of keys that a run has one value of, the other value. `widen`: either of both.
 *  @param {string} q @param {string} text @param {{widen?: boolean}} [how] */
export function toggled(q, text, { widen = false } = {}) {
  const all = parse(q);
  const wanted = read(text);
  if (all.some((one) => one.text === text)) return join(all.filter((one) => one.text !== text));
  const other = wanted.not ? text.slice(1) : `!${text}`;
  const kept = all.filter((one) => one.text !== other);
  const one = wanted.mark === "=" || wanted.key === "state" || wanted.key === "agent";
  const rival = one && !wanted.not ? kept.find((have) => !have.not && have.key === wanted.key && have.mark === wanted.mark) : undefined;
  if (!rival) return join([...kept, wanted]);
  const values = widen && (LISTS.has(wanted.key) || wanted.mark === "=") ? `${rival.value},${wanted.value}` : wanted.value;
  return join(kept.map((have) => (have === rival ? read(`${wanted.key}${wanted.mark}${values}`) : have)));
}

/** @param {Term[]} terms */
export function join(terms) {
  return terms.map((one) => one.text).join(" ");
}

/** The states that a query asks for first, when it asks for some; else null. @param {string} q @returns {string[] | null} */
export function statesOf(q) {
  const named = parse(q).find((one) => one.key === "state" && !one.not);
  return named ? named.value.split(",") : null;
}

/** The query without its terms about states. @param {string} q */
export function withoutStates(q) {
  return join(parse(q).filter((one) => one.key !== "state"));
}

/** What tells whether a run's state is what the terms about states ask for. @param {string} q @returns {(run: any) => boolean} */
export function statesTest(q) {
  const asked = parse(q)
    .filter((one) => one.key === "state")
    .map((one) => ({ states: one.value.split(","), not: one.not }));
  return (run) => asked.every(({ states, not }) => states.some((state) => (state === "held" ? run.held : run.state === state)) !== not);
}
