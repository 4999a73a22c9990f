// What is copied for pasting elsewhere.
import { done, failed } from "./toast.js";

/** @param {string} text @param {string} what it is called when that is said */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    done(`Copied: ${what}`);
  } catch (error) {
    failed(`Could not copy ${what}`, { message: "the browser does not let this page write to the clipboard" });
  }
}
