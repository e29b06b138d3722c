"use strict";
// What the pages do beyond links and forms. All of it but signing in works without, in more steps.

const find = (selector, within = document) => [...within.querySelectorAll(selector)];

// Signing in and out: name and password go as JSON, which a form of another site cannot send.
async function refusal(answer) {
  try { return (await answer.json()).failure; } catch { return { message: `The server answered ${answer.status}`, remedy: "Try again." }; }
}
for (const form of find("[data-sign-in]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fault = form.querySelector(".fault"), said = Object.fromEntries(new FormData(form));
    fault.hidden = true;
    try {
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("/v1/session", { method: "POST", headers, body: JSON.stringify(said) });
      if (answer.ok) return location.assign(form.dataset.signIn);
      const told = await refusal(answer);
      fault.textContent = `${told.message}. ${answer.status === 401 ? "Check both." : told.remedy}`;
    } catch {
      fault.textContent = "The server does not answer. Try again in a moment.";
    }
    fault.hidden = false;
    form.elements.password.select();
  });
}
for (const button of find("[data-sign-out]")) {
  button.addEventListener("click", async () => {
    await fetch("/v1/session", { method: "DELETE", headers: { "X-CSRF-Token": button.dataset.csrf } });
    location.assign("/sign-in");
  });
}

// A photo is dropped anywhere on the page, or pasted, or chosen: then its form is sent.
const dropping = document.querySelector("[data-drop]");
if (dropping) {
  const input = dropping.querySelector("input[type=file]"), label = dropping.querySelector(".drop span"), idle = label.textContent;
  const fault = dropping.querySelector(".fault"), most = Number(input.dataset.most);
  const send = (files) => {
    if (!files.length) return;
    const one = new DataTransfer();
    one.items.add(files[0]);
    input.files = one.files;
    chosen();
  };
  const chosen = () => {
    const size = input.files[0]?.size ?? 0;
    fault.hidden = size <= most;
    if (size > most) {
      fault.textContent = `The photo has ${Math.ceil(size / 1e5) / 10} MB, more than the ${most / 1e6} MB that are taken. Choose a smaller copy.`;
      input.value = "";
    } else if (input.files.length) dropping.requestSubmit();
  };
  input.addEventListener("change", chosen);
  addEventListener("dragover", (event) => { event.preventDefault(); dropping.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping.classList.remove("over"); });
  addEventListener("drop", (event) => { event.preventDefault(); dropping.classList.remove("over"); send(event.dataTransfer.files); });
  addEventListener("paste", (event) => send(event.clipboardData.files));
  dropping.addEventListener("submit", () => {
    dropping.classList.add("busy");
    label.textContent = dropping.dataset.busy;
  });
  addEventListener("pageshow", () => { dropping.classList.remove("busy"); label.textContent = idle; });
}

// A part of the page is loaded anew: a filter's results while one types, a job's progress while it runs.
async function part(address, id) {
  const answer = await fetch(address);
  if (!answer.ok || answer.redirected) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(id), stale = document.getElementById(id);
  if (fresh && stale) stale.replaceWith(fresh);
  dates(fresh ?? document);
  return fresh;
}
for (const form of find("form[data-live]")) {
  let waits, asked = 0;
  const look = async () => {
    const address = `${form.getAttribute("action")}?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value))}`;
    if (!form.dataset.live) return location.assign(address);
    const number = ++asked, answer = await fetch(address);
    if (!answer.ok || number !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(form.dataset.live);
    if (number === asked && fresh) document.getElementById(form.dataset.live).replaceWith(fresh);
    if (form.dataset.live === "found") history.replaceState(null, "", address);
  };
  form.addEventListener("input", (event) => {
    clearTimeout(waits);
    waits = setTimeout(look, event.target.matches("input") ? 180 : 0);
  });
  form.addEventListener("submit", (event) => {
    if (!form.dataset.live) return;
    event.preventDefault();
    clearTimeout(waits);
    const first = document.activeElement?.dataset?.first;
    look().then(() => first && document.querySelector(`#${first} button`)?.focus());
  });
}
async function poll(id) {
  const seconds = Number(document.getElementById(id)?.dataset.poll);
  if (!seconds) return;
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  if (document.visibilityState === "visible") {
    const fresh = await part(location.href, id).catch(() => null);
    if (fresh && document.getElementById("found") && !find("#found :focus").length) await part(location.href, "found").catch(() => null);
  }
  poll(id);
}
for (const one of find("[data-poll]")) poll(one.id);

for (const form of find("[data-sure]")) form.addEventListener("submit", (event) => { if (!confirm(form.dataset.sure)) event.preventDefault(); });

// Keys press what shows them; within a field they write.
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "Enter" && event.target.matches("a, button, summary")) return;
  // Of a layout without Latin letters it is the place of the key that counts.
  const place = /^[^\x00-\x7f]$/.test(event.key) ? /^(?:Key|Digit)(.)$/.exec(event.code) : null;
  const pressed = place ? place[1] : event.key, key = pressed.length === 1 ? pressed.toLowerCase() : pressed;
  const one = document.querySelector(`[data-key="${CSS.escape(key)}"], [data-key-too="${CSS.escape(key)}"]`);
  if (!one) return;
  event.preventDefault();
  // A finger that is ahead of the page judges no photo that is not to be seen yet.
  if (one.form?.matches("#verdict") && one.value !== "skip" && find(".shot img").some((photo) => !photo.complete)) return;
  if (one.matches("input")) { one.focus(); one.select(); } else one.click();
});
// What was sent is not sent twice by a hasty finger.
for (const form of find("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    if (!event.defaultPrevented) form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => find("form[data-sent]").forEach((form) => delete form.dataset.sent));

// What is told once is not told again when the page is loaded anew.
if (document.querySelector("[data-once]")) {
  const address = new URL(location.href);
  for (const name of ["taken", "others", "gone"]) address.searchParams.delete(name);
  history.replaceState(null, "", address);
}

// Times in the zone of whoever reads them.
function dates(within) {
  for (const time of find("time[data-time]", within)) {
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }
}
dates(document);
