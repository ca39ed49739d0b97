// What the pages do by themselves: sign in by link, count down, and show changes as they come. Everything also works
// without it: each decision is an ordinary form.
"use strict";

const one = (selector) => document.querySelector(selector);

// A one-time link carries its token behind the `#`, which no server ever sees; this hands it in and forgets it.
function signIn() {
  const form = one("[data-login]");
  const token = location.hash.slice(1);
  if (!form || !token) return;
  history.replaceState(null, "", location.pathname + location.search);
  form.elements.secret.value = token;
  form.submit();
}

// The browser keeps a strict cookie back on a click from another site; going on from here sends it.
function goOn() {
  const landing = one("[data-continue]");
  if (landing) location.replace(landing.dataset.continue || location.href);
}

function countDown() {
  for (const time of document.querySelectorAll("[data-until]")) {
    const seconds = Math.max(0, Math.ceil((Date.parse(time.dataset.until) - Date.now()) / 1000));
    time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    time.classList.toggle("soon", seconds <= 30);
  }
}

function showWaiting(count) {
  const badge = one("[data-waiting]");
  if (!badge) return; // whoever may not see what waits has no badge
  badge.textContent = count;
  badge.hidden = count === 0;
  document.title = document.title.replace(/^(\(\d+\) )?/, count ? `(${count}) ` : "");
}

function showList() {
  const list = one("[data-live]");
  if (!list) return;
  const state = one("[data-live-state]");
  const source = new EventSource(list.dataset.live);
  source.addEventListener("open", () => { state.textContent = "live"; state.classList.remove("lost"); });
  source.addEventListener("error", () => { state.textContent = "connecting"; state.classList.add("lost"); });
  source.addEventListener("list", (event) => {
    const change = JSON.parse(event.data);
    const picked = [...list.querySelectorAll("input:checked")].map((box) => box.name + box.value);
    list.innerHTML = change.html; // a piece of our own page, escaped by the server like the page itself
    // What was picked stays so while it is the same call: its value is the digest that was shown.
    for (const box of list.querySelectorAll("input[type=checkbox]")) box.checked = picked.includes(box.name + box.value);
    showWaiting(change.waiting);
    countDown();
  });
}

// An open ticket that is settled elsewhere shows so; what is being typed is not lost before.
function followTicket() {
  const page = one("[data-ticket]");
  if (!page || !["pending", "approved"].includes(page.dataset.state)) return;
  const look = async () => {
    const answer = await fetch(`/console/api/tickets/${page.dataset.ticket}`, { headers: { accept: "application/json" } });
    if (answer.ok && (await answer.json()).state !== page.dataset.state) location.reload();
  };
  setInterval(() => look().catch(() => {}), 2000);
}

signIn();
addEventListener("hashchange", signIn); // the link was opened in a tab that shows the sign-in page already
goOn();
showList();
followTicket();
setInterval(countDown, 1000);
