// Who looks at this page: asked once, told to whoever draws what depends on it.
import { html, useLayoutEffect, useState } from "./preact.js";
import { ApiError, get, post, showXsrf } from "./api.js";

const RANKS = { viewer: 0, operator: 1, admin: 2 };
const watchers = new Set();
/** `me` undefined: not known yet; null: nobody, a log-in is needed. */
let me;

function is(next) {
  me = next;
  showXsrf(next?.xsrf ?? "");
  for (const watch of watchers) watch(next);
}

/** Ask the server who one is. Until it answers, nothing is known. */
export async function whoAmI() {
  try {
    is(await get("/api/v2/me"));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) is(null);
    else setTimeout(whoAmI, 2000);
  }
}

/** Whether one may do what takes a role; the server judges it in any case. @param {string} role */
export function may(role) {
  return me ? RANKS[me.role] >= RANKS[role] : false;
}

export function useMe() {
  const [value, setValue] = useState(me);
  useLayoutEffect(() => {
    watchers.add(setValue);
    setValue(me);
    return () => watchers.delete(setValue);
  }, []);
  return value;
}

// An answer that one is not known any more, to whatever was asked, leads to the log-in.
addEventListener("callsheet:nobody", () => {
  if (me) whoAmI();
});

export async function logOut() {
  try {
    await post("/api/v2/logout");
    location.assign("/login");
  } catch (error) {
    dispatchEvent(new CustomEvent("callsheet:failed", { detail: ["Could not log out", error] }));
  }
}

export function LoginView() {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  useLayoutEffect(() => {
    document.title = "Log in · callsheet";
    document.getElementById("login-name")?.focus();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    const { name, password } = Object.fromEntries(new FormData(event.target));
    setBusy(true);
    try {
      await post("/api/v2/login", { name, password });
      // The page is read anew, so that nothing of somebody else's is left in it: also where the address has a
      // fragment, to which one would only scroll.
      if (location.pathname === "/login") location.assign("/");
      else location.reload();
    } catch (error) {
      setBusy(false);
      setProblem(error.message);
      /** @type {HTMLInputElement | null} */ (document.getElementById("login-password"))?.select();
    }
  };
  return html`<main class="login" id="main">
    <form class="panel" aria-label="Log in" onSubmit=${submit}>
      <header><h1>callsheet</h1></header>
      <div class="pad form">
        <label for="login-name">name</label>
        <div><input class="field wide" id="login-name" name="name" autocomplete="username" autocapitalize="off" spellcheck="false" required /></div>
        <label for="login-password">password</label>
        <div><input class="field wide" id="login-password" name="password" type="password" autocomplete="current-password" required /></div>
        <span></span>
        <div><button class="btn main" disabled=${busy}>Log in</button></div>
      </div>
      ${problem && html`<p class="pad bad" role="alert">${problem}</p>`}
    </form>
  </main>`;
}

/** Who one is, and the way out. */
export function Who() {
  const who = useMe();
  if (!who) return null;
  const name = who.how === "local" ? "this machine" : who.name.replace(/^user:/, "");
  const reach = who.labels.length ? `, only ${who.labels.join(", ")}` : "";
  return html`<div class="who" title=${`${name}: ${who.role}${reach}`}>
    <span class="cut">${name}</span><span class="r" data-role=${who.role}>${who.role}</span>
    ${who.how === "session" && html`<button class="out" onClick=${logOut}>Log out</button>`}
  </div>`;
}
