// What does not fit where it stands is said whole by its tooltip, wherever that is.

const UP = 4;

/** Give titles to what is pointed at and cut off, for as long as it is. */
export function titleClipped() {
  document.addEventListener("pointerover", (event) => {
    let at = /** @type {HTMLElement | null} */ (event.target);
    for (let up = 0; at && up < UP && at.id !== "main"; up += 1, at = at.parentElement) {
      if (!(at instanceof HTMLElement)) continue;
      if (at.title && !("clipped" in at.dataset)) return; // it says more than its text
      if (isClipped(at)) {
        at.title = at.innerText.replace(/\s+/g, " ").trim();
        at.dataset.clipped = "";
        return;
      }
      if ("clipped" in at.dataset) {
        at.removeAttribute("title");
        delete at.dataset.clipped;
      }
    }
  });
}

/** @param {HTMLElement} one */
function isClipped(one) {
  return one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0 && ["hidden", "clip"].includes(getComputedStyle(one).overflowX);
}
