// The page's icon says at a glance whether something needs a person: drawn anew when that changes.
const BARS = '<path d="M1 3.5h8M4 9h9M8 14.5h9" stroke="INK" stroke-width="3" fill="none"/>';
const HOLLOW = '<path d="M1.5 2.5h7v2h-7zM4.5 8h8v2h-8zM8.5 13.5h8v2h-8z" stroke="INK" fill="none"/>';
// A white seam around each mark parts it from the bars on any ground.
const MARKS = {
  trouble: '<circle cx="13.5" cy="4.5" r="4.5" fill="#fff"/><circle cx="13.5" cy="4.5" r="3.6" fill="#d0382f"/>',
  late: '<circle cx="13.5" cy="4.5" r="4.5" fill="#fff"/><circle cx="13.5" cy="4.5" r="2.8" fill="none" stroke="#d97a1e" stroke-width="1.8"/>',
};
let drawn = "";

/** @param {"" | "trouble" | "late" | "stale"} said */
export function showFavicon(said) {
  if (said === drawn) return;
  drawn = said;
  const ink = matchMedia("(prefers-color-scheme: dark)").matches ? "#e9e7e2" : "#1c1b19";
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 18 18">${(said === "stale" ? HOLLOW : BARS).replaceAll("INK", ink)}${MARKS[said] ?? ""}</svg>`;
  const link = /** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]"));
  link.href = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  link.dataset.said = said;
}
