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
    const how = { method: "DELETE", headers: { "X-CSRF-Token": button.dataset.csrf } };
    const answer = await fetch("/v1/session", how).catch(() => null);
    if (answer?.ok || answer?.status === 401) return location.assign("/sign-in");
    alert("You are still signed in. Load the page again, and sign out once more.");
  });
}

// What a browser kept to go back to is shown to nobody who has signed out since.
addEventListener("pageshow", async (event) => {
  const back = event.persisted || performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  if (!back || !document.querySelector("[data-sign-out]")) return;
  if ((await fetch("/v1/session").catch(() => null))?.status === 401) location.reload();
});

// What the page asks of the addresses of programs; an error has the message and remedy of the refusal. Where no whole answer comes, or
// only that of a proxy, it is sent again: a photo that is kept twice goes with time, and what has a key is done once. unanswered: it
// may have been done.
async function post(path, csrf, kind, body, key) {
  for (let again = 3; ;) {
    const headers = { "X-CSRF-Token": csrf, "Content-Type": kind, ...(key && { "Idempotency-Key": key }) };
    const answer = await fetch(path, { method: "POST", headers, body }).catch(() => null);
    const said = await answer?.json().catch(() => null);
    if (answer?.ok ? !said : !answer || [502, 503, 504].includes(answer.status)) {
      if (!again--) {
        throw { message: "The server does not answer", remedy: "Try again in a moment.", ...said?.failure, unanswered: true };
      }
      await new Promise((done) => setTimeout(done, 1000));
      continue;
    }
    if (answer.ok) return said;
    if (answer.status === 401) throw { message: "You are not signed in any more", remedy: "Load the page again." };
    const told = said?.failure ?? { message: `The server answered ${answer.status}`, remedy: "Try again." };
    if (answer.status !== 429) throw told;
    await new Promise((done) => setTimeout(done, 1000 * (told.retry_after ?? 1)));
  }
}

// A photo is dropped anywhere on the page, or pasted, or chosen: then its form is sent. Several become a job.
const dropping = document.querySelector("[data-drop]");
if (dropping) {
  const input = dropping.querySelector("input[type=file]"), label = dropping.querySelector(".drop span"), idle = label.textContent;
  const fault = dropping.querySelector(".fault"), most = Number(input.dataset.most);
  const tell = (text) => { fault.textContent = text; fault.hidden = !text; };
  const large = (size) => `${Math.ceil(size / 1e5) / 10} MB, more than the ${most / 1e6} MB that are taken. Choose a smaller copy.`;
  // posted: the files of which a job was asked for last, and how; dropped again, they are asked for as the same job.
  let sending = false, posted = {};
  const job = async (files) => {
    const { csrf, catalog, several } = dropping.elements, photos = [], max_products = several.checked ? Number(several.value) : 1;
    const what = JSON.stringify([files.map((file) => [file.name, file.size, file.lastModified]), catalog.value, max_products]);
    tell("");
    sending = true;
    dropping.classList.add("busy");
    try {
      for (const file of posted.what === what ? [] : files) {
        label.textContent = `Sending photo ${photos.length + 1} of ${files.length}…`;
        try {
          const bytes = await file.arrayBuffer().catch(() => null);
          if (!bytes) throw { message: "it cannot be read", remedy: "Choose photos, no folders." };
          const { reference } = await post("/v1/uploads/photo", csrf.value, "application/octet-stream", bytes);
          photos.push({ reference, name: file.name });
        } catch (error) {
          throw { message: `${file.name}: ${error.message}`, remedy: error.remedy };
        }
      }
      const name = `${files[0].name.slice(0, 100)} and ${files.length - 1} more`;
      const said = JSON.stringify({ photos, name, catalog: catalog.value, max_products });
      if (posted.what !== what) posted = { what, said, key: crypto.getRandomValues(new Uint32Array(4)).join("-") };
      const made = await post("/v1/jobs", csrf.value, "application/json", posted.said, posted.key);
      posted = {};
      location.assign(`/jobs/${made.id}`);
    } catch (error) {
      const so = error.unanswered ? "It may have been begun: look at Jobs." : "Nothing is recognised yet.";
      tell(`${error.message}. ${error.remedy} ${so}`);
      idly();
    }
    sending = false;
    input.value = "";
  };
  const send = (files) => {
    if (!files.length || sending) return;
    if (files.length > 1) {
      const wide = [...files].find((file) => file.size > most), told = `None of these ${files.length} photos was sent`;
      const alone = "one is recognised here at a time. Drop one, or have all of them recognised as a job: packsight submit FOLDER";
      if (!input.multiple) return tell(`${told}: ${alone}`);
      if (wide) return tell(`${told}: ${wide.name} has ${large(wide.size)}`);
      return job([...files]);
    }
    const one = new DataTransfer();
    one.items.add(files[0]);
    input.files = one.files;
    chosen();
  };
  const idly = () => {
    dropping.classList.remove("busy");
    label.textContent = idle;
    delete dropping.dataset.sent;  // it may have been stopped on its way
  };
  const chosen = () => {
    idly();
    const size = input.files[0]?.size ?? 0;
    tell(size > most ? `The photo has ${large(size)}` : "");
    if (size > most) input.value = "";
    else if (input.files.length) dropping.requestSubmit();
  };
  input.multiple = "several" in input.dataset;
  input.addEventListener("change", () => input.files.length > 1 ? send(input.files) : sending || chosen());
  addEventListener("dragover", (event) => { event.preventDefault(); dropping.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping.classList.remove("over"); });
  addEventListener("drop", (event) => { event.preventDefault(); dropping.classList.remove("over"); send(event.dataTransfer.files); });
  addEventListener("paste", (event) => send(event.clipboardData.files));
  dropping.addEventListener("submit", (event) => {
    if (sending) return event.preventDefault();
    dropping.classList.add("busy");
    label.textContent = dropping.dataset.busy;
  });
  dropping.addEventListener("input", () => sending || idly());
  addEventListener("pageshow", idly);
}

// Parts of the page are loaded anew: a filter's results while one types, a job's progress while it runs.
async function load(address) {
  const answer = await fetch(address);
  if (answer.redirected) location.assign(address);  // the session has ended: to the door, and back here
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}
function renew(page, ids) {
  for (const id of ids) {
    const fresh = page.getElementById(id), stale = document.getElementById(id);
    if (!fresh || !stale) continue;
    if (stale.getAttribute("role") === "status") {
      // What a screen reader listens to stays, and speaks only of what is new: words alone, since links would become stale.
      if (stale.textContent !== fresh.textContent) stale.replaceChildren(...fresh.childNodes);
      continue;
    }
    stale.replaceWith(fresh);
    dates(fresh);
  }
}
for (const form of find("form[data-live]")) {
  let waits, asked = 0;
  // Whether what is shown now is what was asked for; what was shown before would be taken for it.
  const look = async () => {
    const address = `${form.getAttribute("action")}?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value))}`;
    if (!form.dataset.live) return location.assign(address);
    const number = ++asked, page = await load(address).catch(() => null), ids = form.dataset.live.split(" ");
    if (number !== asked) return false;
    if (page?.getElementById(ids[0])) {
      renew(page, ids);
      if (ids[0] === "found") history.replaceState(null, "", address);
      return true;
    }
    const told = document.createElement("p");
    told.className = "fault";
    told.setAttribute("role", "alert");
    told.textContent = "The server does not answer. Try again in a moment.";
    document.getElementById(ids[0]).replaceChildren(page?.getElementById("refused") ?? told);
    for (const one of ids.slice(1).flatMap((id) => find(`#${id}[role=status]`))) one.replaceChildren();
    return false;
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
    look().then((shows) => shows && first && document.querySelector(`#${first} button`)?.focus());
  });
}
async function poll(id) {
  const seconds = Number(document.getElementById(id)?.dataset.poll);
  if (!seconds) return;
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  const address = location.href, page = document.visibilityState === "visible" && await load(address).catch(() => null);
  const fresh = page && page.getElementById(id);
  if (fresh && address === location.href) {
    const parts = ["actions", "failures", "found", "counted"];
    // What somebody is at stays as it is while the page follows.
    renew(page, [id, ...parts.filter((one) => !fresh.dataset.poll || !find(`#${one} :focus`).length)]);
  }
  poll(id);
}
for (const one of find("[data-poll]")) poll(one.id);

addEventListener("submit", (event) => { if (event.target.dataset.sure && !confirm(event.target.dataset.sure)) event.preventDefault(); });

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
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) return event.preventDefault();
  if (!event.defaultPrevented) form.dataset.sent = "yes";
});
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
