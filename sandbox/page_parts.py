"""Style and script of the sandbox's pages, and the headers that let these two in and nothing else."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #8881; --back: #f6f7f9; --card: #fff; --ink: #1c2430;
  --mute: #5d6877; --key: #2f5bd8; --good: #1a7f4b; --bad: #c4372c; --wait: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --back: #12161d; --card: #1a2029; --ink: #e6eaf0; --mute: #9aa6b6;
  --key: #86a6ff; --good: #4cc38a; --bad: #ff8379; --wait: #e2b340; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 0 auto; padding: 1.5rem 1.2rem 4rem;
  background: var(--back); color: var(--ink); }
header { display: flex; flex-wrap: wrap; gap: .5rem 2rem; justify-content: space-between; align-items: end; }
h1 { font-size: 1.4rem; margin: 0; } h1 + p { margin: .1rem 0 0; color: var(--mute); }
nav { display: flex; flex-wrap: wrap; gap: 1.2rem; } a { color: var(--key); }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; } h2 small { font-weight: 400; color: var(--mute); }
.scroll, .card { border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
.scroll { overflow-x: auto; }
.card { padding: 1rem 1.1rem; margin-top: 1.3rem; display: flex; flex-wrap: wrap; gap: .8rem 1rem; align-items: end; }
.card h2 { margin: 0; flex-basis: 100%; } .card p { margin: 0; flex-basis: 100%; color: var(--mute); }
label { display: grid; gap: .2rem; font-size: .8rem; font-weight: 600; color: var(--mute); min-width: 12rem; }
input, select, button { font: 400 .93rem/1.4 system-ui, sans-serif; color: var(--ink);
  padding: .4rem .7rem; border: 1px solid var(--line);
  border-radius: 7px; background: var(--back); }
button { cursor: pointer; background: var(--card); } button:hover { border-color: var(--key); }
form button:not([type=button]) { background: var(--key); border-color: var(--key); color: var(--card);
  font-weight: 600; }
:focus-visible { outline: 2px solid var(--key); outline-offset: 1px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .8rem; white-space: nowrap; }
th { font-size: .78rem; font-weight: 600; color: var(--mute); background: var(--soft); }
td { border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td.wide { white-space: normal; overflow-wrap: anywhere; min-width: 11rem; }
td.actions { text-align: right; } td.actions button { font-size: .8rem; padding: .1rem .55rem; margin-left: .3rem; }
code, pre { font: .85em/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .9rem 1.1rem; margin: 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); }
.empty, .faults { padding: .7rem .8rem; margin: 0; color: var(--mute); }
.faults { border-left: 4px solid var(--bad); background: var(--soft); margin-top: 1.2rem; color: var(--ink); }
#said { min-height: 1.5em; margin: .6rem 0 -1rem; color: var(--mute); } #said.bad { color: var(--bad); }
dialog { border: 1px solid var(--line); border-radius: 12px; background: var(--card); color: var(--ink);
  padding: 1.3rem; width: min(26rem, 92vw); } dialog::backdrop { background: #0007; }
dialog form { display: grid; gap: .9rem; } dialog h2 { margin: 0; } dialog p { margin: 0; color: var(--mute); }
dialog .row { display: flex; gap: .6rem; justify-content: flex-end; }
"""

SCRIPT = """
"use strict";
const said = document.querySelector("#said");
function say(text, bad) { said.textContent = text; said.className = bad ? "bad" : ""; }
async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.message || `It answered ${answer.status}`);
  return found;
}
async function act(path, body) {
  try {
    const account = await post(path, body);
    say(`${account.tenant_id}, ${account.integration.name}: ${account.status}`);
  } catch (error) { say(error.message, true); }
  await refresh();
}
async function refresh() {
  const live = document.querySelector("#live");
  if (!live || document.hidden) return;
  try {
    const page = await (await fetch("/")).text();
    const fresh = new DOMParser().parseFromString(page, "text/html").querySelector("#live");
    if (fresh.innerHTML !== live.innerHTML && !live.contains(document.activeElement)) live.replaceWith(fresh);
  } catch { say("The sandbox does not answer", true); }
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-post]");
  if (!button) return;
  button.blur();
  act(button.dataset.post, JSON.parse(button.dataset.body));
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.post) return;
  event.preventDefault();
  act(form.dataset.post, Object.fromEntries(new FormData(form)));
});
setInterval(refresh, 1500);

// What @truto/truto-link-sdk does, with a dialog of our own for Truto Link's.
function authenticate(linkToken) {
  const dialog = document.querySelector("#link");
  const form = dialog.querySelector("form");
  form.reset();
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.onclose = () => reject("closed");
    dialog.querySelector("[data-close]").onclick = () => dialog.close();
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        const wanted = { link_token: linkToken, ...Object.fromEntries(new FormData(form)) };
        const account = await post("/sandbox/connect", wanted);
        resolve({ result: "success", integrated_account_id: account.id });
      } catch (error) { reject(error.message); }
      dialog.close();
    };
  });
}
async function getLinkToken(body) {
  const { linkToken } = await post("/connect/link-token", body);
  return linkToken;
}
async function openTrutoLink(linkToken) {
  const result = await authenticate(linkToken);
  say(`Connected: ${result.integrated_account_id}. Its way to active is on the overview.`);
}
document.querySelectorAll("form[data-sign-in]").forEach((form) => {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await post("/connect/sign-in", Object.fromEntries(new FormData(form)));
    location.reload();
  });
});
document.querySelectorAll("form[data-link]").forEach((form) => {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await openTrutoLink(await getLinkToken(Object.fromEntries(new FormData(form))));
    } catch (error) {
      if (error === "closed") say("Closed without connecting");
      else say(`Connection failed: ${error.message || error}`, true);
    }
  });
});
"""

_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()

HEADERS = {
    # Everything on a page comes from strangers in part: only our own script may run, and talk to us alone.
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_HASH}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
