// Asks for what changed, and puts it in its place.
"use strict";
(() => {
  const main = document.getElementById("sections");
  const state = document.getElementById("state");
  const field = document.querySelector("#filter input");
  let where = new URLSearchParams(location.search).get("where") ?? "";
  let marks = {};
  field.value = where;
  const place = (name, html, order) => {
    const made = document.createElement("template");
    made.innerHTML = html;
    const section = made.content.querySelector("section");
    const old = document.getElementById(name);
    const kept = (root) => [...root.querySelectorAll("details, .series input")];
    const before = old ? kept(old) : [];
    kept(section).forEach((each, i) => {  // what was opened or unticked stays so
      if (each.tagName === "DETAILS") each.open = before[i]?.open ?? false;
      else each.checked = before[i]?.checked ?? true;
    });
    if (old) old.replaceWith(section);
    else main.insertBefore(section, main.children[order] ?? null);
    trajlabDraw(section);
  };
  const look = async () => {
    try {
      const asked = await fetch("state?" + new URLSearchParams([
        ["where", where], ...Object.entries(marks).map((mark) => ["mark", mark.join(":")]),
      ]));
      if (!asked.ok) throw new Error(await asked.text());
      const told = await asked.json();
      for (const gone of Object.keys(marks).filter((name) => !(name in told.marks)))
        document.getElementById(gone)?.remove();
      told.order.forEach((name, order) => {
        if (name in told.changed) place(name, told.changed[name], order);
      });
      marks = told.marks;
      state.textContent = `Looked at ${new Date().toLocaleTimeString()}.`;
    } catch (error) {
      state.textContent = `Not reached: ${error.message}. Is trajlab view still running?`;
    }
    setTimeout(look, 2000);
  };
  document.getElementById("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    where = field.value.trim();
    history.replaceState(null, "", where ? `?where=${encodeURIComponent(where)}` : "?");
  });
  look();
})();
