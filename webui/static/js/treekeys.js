// The keyboard in the tree of jobs: rows up and down, folders open and closed.
import { useLayoutEffect } from "./preact.js";
import { go } from "./router.js";

const ROWS = "tr[data-folder], tr[data-job]";

/** @param {any} body a ref of the table's body @param {(path: string) => void} toggle opens or closes a folder */
export function useTreeKeys(body, toggle) {
  useLayoutEffect(() => {
    const onKey = (event) => {
      if (!body.current || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, .dialog, .pop")) return;
      const rows = [...body.current.querySelectorAll(ROWS)];
      const at = rows.indexOf(document.activeElement?.closest("tr"));
      const row = rows[at];
      const next = placeOf(event.key, rows, at);
      if (next !== null) {
        event.preventDefault();
        rows[next]?.focus();
        rows[next]?.scrollIntoView({ block: "nearest" });
      } else if (row && (event.key === "ArrowRight" || event.key === "ArrowLeft") && row.dataset.folder) {
        event.preventDefault();
        toggle(row.dataset.folder);
      } else if (row?.dataset.job && (event.key === "o" || (event.key === "Enter" && event.target === row))) {
        go(row.querySelector("a.job").getAttribute("href"));
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}

/** Where a key leads; null: nowhere. A folder that is open is left upwards by closing it first. */
function placeOf(key, rows, at) {
  const last = rows.length - 1;
  if (last < 0) return null;
  if (key === "j" || key === "ArrowDown") return Math.min(last, at + 1);
  if (key === "k" || key === "ArrowUp") return Math.max(0, at - 1);
  if (at < 0) return null;
  if (key === "Home") return 0;
  if (key === "End") return last;
  const open = rows[at].getAttribute("aria-expanded");
  if (key === "ArrowRight" && open === "true") return Math.min(last, at + 1);
  if (key !== "ArrowLeft" || open === "true") return null;
  const level = Number(rows[at].getAttribute("aria-level"));
  for (let place = at - 1; place >= 0; place -= 1) if (Number(rows[place].getAttribute("aria-level")) < level) return place;
  return null;
}
