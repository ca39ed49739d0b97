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
    const focused = list.contains(document.activeElement) ? document.activeElement.id : "";
    const picked = [...list.querySelectorAll("input:checked")].map((box) => box.name + box.value);
    list.innerHTML = change.html; // a piece of our own page, escaped by the server like the page itself
    // What was picked stays so while it is the same call: its value is the digest that was shown.
    for (const box of list.querySelectorAll("input[type=checkbox]")) box.checked = picked.includes(box.name + box.value);
    if (focused) document.getElementById(focused)?.focus(); // where somebody was with the keyboard, there they stay
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

// The marks of a timeline are links, one tab stop for all: arrow keys go from mark to mark, and what has the focus, or is
// under the pointer, is told below the drawing. Enter follows the link to the row of the event.
function walkTimeline() {
  const points = (drawing) => [...drawing.querySelectorAll("[data-point]")];
  const tell = (point) => { one("[data-detail]").textContent = point.getAttribute("aria-label"); };
  document.addEventListener("focusin", (event) => {
    const point = event.target.closest?.("[data-point]");
    if (!point) return;
    for (const other of points(point.closest("[data-timeline]"))) other.setAttribute("tabindex", other === point ? 0 : -1);
    tell(point);
  });
  document.addEventListener("pointerover", (event) => {
    const point = event.target.closest?.("[data-point]");
    if (point) tell(point);
  });
  document.addEventListener("keydown", (event) => {
    const point = event.target.closest?.("[data-point]");
    const next = point && neighbour(points(point.closest("[data-timeline]")), point, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

function neighbour(points, point, key) {
  const place = points.indexOf(point);
  const ends = { ArrowRight: points[place + 1], ArrowLeft: points[place - 1], Home: points[0], End: points.at(-1) };
  if (key in ends) return ends[key];
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
  const circle = (one) => one.querySelector("circle");
  const at = (one, name) => Number(circle(one).getAttribute(name));
  const further = (one) => (at(one, "cy") - at(point, "cy")) * (key === "ArrowDown" ? 1 : -1);
  const near = points.filter((one) => further(one) > 0);
  const closest = (one) => further(one) * 1000 + Math.abs(at(one, "cx") - at(point, "cx"));
  return near.sort((a, b) => closest(a) - closest(b))[0];
}

signIn();
walkTimeline();
addEventListener("hashchange", signIn); // the link was opened in a tab that shows the sign-in page already
goOn();
showList();
followTicket();
setInterval(countDown, 1000);
