// What a job file would hold, as YAML; and two texts as lines that went and came. Pure.

const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*$/;
const WORDS = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n"]);

function scalar(value, indent) {
  if (value === null || value === undefined) return "null";
  if (typeof value !== "string") return String(value);
  if (value.includes("\n") && !/^\s/.test(value)) {
    const lines = value.replace(/\n$/, "").split("\n");
    const pad = " ".repeat(indent);
    return `|${value.endsWith("\n") ? "" : "-"}\n${lines.map((line) => (line ? pad + line : "")).join("\n")}`;
  }
  if (PLAIN.test(value) && !WORDS.has(value.toLowerCase())) return value;
  // eslint-disable-next-line no-control-regex
  return /[\x00-\x1f\x7f]/.test(value) ? JSON.stringify(value) : `'${value.replaceAll("'", "''")}'`;
}

function isEmpty(value) {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function nested(value) {
  return typeof value === "object" && value !== null && !isEmpty(value);
}

/** @param {any} value plain data @param {number} [indent] @returns {string} */
export function toYaml(value, indent = 0) {
  const pad = " ".repeat(indent);
  if (Array.isArray(value) && value.length) {
    return value.map((one) => `${pad}- ${nested(one) ? toYaml(one, indent + 2).trimStart() : leaf(one, indent + 2)}`).join("\n");
  }
  if (!nested(value)) return pad + leaf(value, indent + 2);
  return Object.entries(value)
    .map(([name, one]) => `${pad}${scalar(name, 0)}:${nested(one) ? `\n${toYaml(one, indent + 2)}` : ` ${leaf(one, indent + 2)}`}`)
    .join("\n");
}

function leaf(value, indent) {
  if (isEmpty(value)) return Array.isArray(value) ? "[]" : "{}";
  return scalar(value, indent);
}

/** Lines of two texts: [sign, line number before, line number after, text]; sign " ", "-" or "+".
 *  @param {string} before @param {string} after */
export function lineDiff(before, after) {
  const a = before ? before.split("\n") : [];
  const b = after ? after.split("\n") : [];
  // Longest common subsequence; job files are short.
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const found = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) found.push([" ", ++i, ++j, a[i - 1]]);
    else if (i < a.length && (j >= b.length || table[i + 1][j] >= table[i][j + 1])) found.push(["-", ++i, null, a[i - 1]]);
    else found.push(["+", null, ++j, b[j - 1]]);
  }
  return found;
}

/** Only what changed, with a few lines around it. @param {any[]} lines @param {number} [around] */
export function changedOnly(lines, around = 3) {
  const near = new Set();
  lines.forEach(([sign], index) => {
    if (sign !== " ") for (let at = index - around; at <= index + around; at += 1) near.add(at);
  });
  return lines.filter((_, index) => near.has(index));
}
