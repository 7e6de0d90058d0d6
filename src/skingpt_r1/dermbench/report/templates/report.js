"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // Text only ever enters the page through textContent; nothing is parsed as markup.
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };

  const remembered = {
    get() { try { return localStorage.getItem("skingpt-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("skingpt-theme", value); } catch { /* private window */ } },
  };

  function startTheme() {
    const button = byId("theme");
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    const before = remembered.get();
    if (before === "dark" || before === "light") document.documentElement.dataset.theme = before;
    button.addEventListener("click", () => {
      document.documentElement.dataset.theme = isDark() ? "light" : "dark";
      remembered.set(document.documentElement.dataset.theme);
      show();
    });
    dark.addEventListener("change", show);
    button.hidden = false;
    show();
  }

  function startPrinting() {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open])")];
      opened.forEach((part) => { part.open = true; });
    });
    addEventListener("afterprint", () => opened.forEach((part) => { part.open = false; }));
  }

  // Cases lie in the page in chunks of JSON; a chunk is parsed when one of its cases is looked at.
  function caseReader(index) {
    const KEPT = 6;
    const parsed = new Map();
    return (at) => {
      const chunk = Math.floor(at / index.chunk_size);
      if (!parsed.has(chunk)) {
        if (parsed.size >= KEPT) parsed.delete(parsed.keys().next().value);
        parsed.set(chunk, JSON.parse(byId(`chunk-${chunk}`).textContent));
      }
      return parsed.get(chunk)[at % index.chunk_size];
    };
  }

  const decimals = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
  const titled = (name, text) => [make("dt", {}, name), make("dd", {}, text)];
  const cell = (value) => make("td", { class: "number" }, value);

  function topOf(found) {
    const figure = found.picture
      ? make("figure", {}, make("img", { src: found.picture, alt: `Picture of case ${found.id}, label ${found.label}`, decoding: "async" }))
      : make("figure", {}, make("p", { class: "no-picture" }, `No picture: ${found.no_picture || "no reason given"}.`));
    const facts = make("dl", {},
      ...(found.run ? titled("Run", found.run) : []), ...titled("Data set", found.benchmark), ...titled("Label", found.label),
      ...titled("Skin tone", found.tone ?? "unknown"),
      ...Object.entries(found.findings).flatMap(([slot, value]) => titled(slot.replaceAll("_", " "), value)));
    return make("div", { class: "case-top" }, figure, facts);
  }

  function scoreTables(found, index) {
    return index.tables.map((table, at) => {
      const rows = found.answers.flatMap((answer) => answer.verdicts
        .filter((verdict) => verdict.table === at)
        .map((verdict) => make("tr", {},
          make("th", { scope: "row" }, answer.system + (verdict.repeat ? `, repeat ${verdict.repeat + 1}` : "")),
          ...(verdict.scores
            ? [...index.dimensions.map((_, place) => cell(decimals(verdict.scores[place]))), cell(decimals(verdict.mean))]
            : [make("td", { colspan: String(index.dimensions.length + 1) }, `unscored: ${verdict.unscored ?? "no reason given"}`)]))));
      if (!rows.length) return null;
      const heads = ["System", ...index.dimensions, "Mean"].map((name, place) =>
        make("th", { scope: "col", class: place ? "number" : null }, name));
      const name = `Scores of ${table}`;
      return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": name },
        make("table", {}, make("caption", {}, name), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
    });
  }

  function reasonsOf(verdict, index) {
    const given = index.dimensions.map((name, place) => [name, place, verdict.rationales?.[place]]).filter((row) => row[2]);
    if (!given.length) return null;
    const table = index.tables[verdict.table];
    const repeat = verdict.repeat ? `, repeat ${verdict.repeat + 1}` : "";
    const lines = given.flatMap(([name, place, words]) =>
      titled(verdict.scores ? `${name}: ${decimals(verdict.scores[place])}` : name, words));
    return make("details", {},
      make("summary", {}, `Why: ${table}${repeat}`), make("dl", {}, ...lines));
  }

  function answerOf(answer, index) {
    const words = answer.text
      ? make("p", { class: "words" }, answer.text)
      : make("p", { class: "no-picture" }, `No usable answer: ${answer.problem ?? "empty"}`);
    const marks = [answer.outcome && `diagnosis: ${answer.outcome}`, answer.text && answer.problem,
      answer.verdicts.some((verdict) => verdict.cut) && "cut from the front before judging"].filter(Boolean);
    return make("section", { class: "answer" },
      make("h4", {}, answer.system),
      marks.length ? make("p", { class: "small" }, marks.join("; ")) : null,
      words, ...answer.verdicts.map((verdict) => reasonsOf(verdict, index)));
  }

  function drawCase(found, index) {
    const reference = found.reference
      ? [make("h4", {}, "Reference"), make("p", { class: "words" }, found.reference)]
      : [make("p", { class: "small" }, "No reference narrative.")];
    return [topOf(found), ...reference, ...scoreTables(found, index),
      ...found.answers.map((answer) => answerOf(answer, index))];
  }

  function startBrowser() {
    const index = JSON.parse(byId("case-index").textContent);
    if (!index.cases.length) return;
    const PAGE = 50; // buttons in the list at once
    const read = caseReader(index);
    let chosen = [];
    let current = -1;
    let page = 0;

    const fill = (id, values) => byId(id).append(...values.map(([value, name]) => make("option", { value }, name)));
    const distinct = (key) => [...new Set(index.cases.map((row) => row[key]))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    for (const key of ["benchmark", "label", "tone"]) fill(`filter-${key}`, distinct(key).map((value) => [value, value]));
    fill("filter-table", index.tables.map((table, at) => [String(at), table]));
    byId("filter-table").disabled = !index.tables.length;

    function drawList() {
      const start = page * PAGE;
      byId("case-list").replaceChildren(...chosen.slice(start, start + PAGE).map((at, place) => {
        const row = index.cases[at];
        const gap = row.gaps[Number(byId("filter-table").value)] ?? null;
        const button = make("button", { type: "button", "aria-current": start + place === current ? "true" : null },
          row.label, make("span", { class: "small" }, `${row.id}${gap === null ? "" : ` · gap ${decimals(gap)}`}`));
        button.addEventListener("click", () => show(start + place));
        return make("li", {}, button);
      }));
      const pages = Math.max(1, Math.ceil(chosen.length / PAGE));
      byId("page-place").textContent = `${page + 1} of ${pages}`;
      byId("page-before").disabled = page === 0;
      byId("page-after").disabled = page >= pages - 1;
    }

    function show(place, { quiet = false } = {}) {
      if (place < 0 || place >= chosen.length) return;
      current = place;
      page = Math.floor(place / PAGE);
      const found = read(chosen[place]);
      byId("case-title").textContent = `${found.label} (${found.id})`;
      byId("case-body").replaceChildren(...drawCase(found, index).filter(Boolean));
      byId("case-before").disabled = place === 0;
      byId("case-after").disabled = place === chosen.length - 1;
      byId("case-count").textContent = `Case ${(place + 1).toLocaleString("en-GB")} of ${chosen.length.toLocaleString("en-GB")} chosen, of ${index.cases.length.toLocaleString("en-GB")}: ${found.label}, ${found.id}.`;
      if (!quiet) history.replaceState(null, "", `#case=${encodeURIComponent(found.id)}`);
      drawList();
      const button = byId("case-list").querySelector("[aria-current]");
      const list = byId("case-list");
      if (button) list.scrollTop = button.offsetTop - list.offsetTop - list.clientHeight / 3;
    }

    function choose() {
      const text = byId("filter-text").value.trim().toLowerCase();
      const table = Number(byId("filter-table").value);
      const least = Number(byId("filter-gap").value) || 0;
      const equal = ["benchmark", "label", "tone"].map((key) => [key, byId(`filter-${key}`).value]).filter((pair) => pair[1]);
      chosen = [...index.cases.keys()].filter((at) => {
        const row = index.cases[at];
        return equal.every(([key, value]) => row[key] === value)
          && (!text || `${row.id} ${row.label}`.toLowerCase().includes(text))
          && (!least || (row.gaps[table] ?? -1) >= least);
      });
      const order = byId("filter-order").value;
      const last = (value, worst) => value ?? worst;
      if (order === "gap") chosen.sort((a, b) => last(index.cases[b].gaps[table], -1) - last(index.cases[a].gaps[table], -1) || a - b);
      if (order === "low") chosen.sort((a, b) => last(index.cases[a].lows[table], 9) - last(index.cases[b].lows[table], 9) || a - b);
      current = -1;
      page = 0;
      if (chosen.length) { show(0, { quiet: true }); return; }
      byId("case-title").textContent = "No case";
      byId("case-body").replaceChildren();
      byId("case-count").textContent = `No case of ${index.cases.length.toLocaleString("en-GB")} fits; change the filters or show all.`;
      byId("case-before").disabled = byId("case-after").disabled = true;
      drawList();
    }

    function step(by) { show(current + by); }
    byId("case-before").addEventListener("click", () => step(-1));
    byId("case-after").addEventListener("click", () => step(1));
    byId("page-before").addEventListener("click", () => { page -= 1; drawList(); });
    byId("page-after").addEventListener("click", () => { page += 1; drawList(); });
    for (const field of byId("filters").querySelectorAll("input")) field.addEventListener("input", choose);
    for (const field of byId("filters").querySelectorAll("select")) field.addEventListener("change", choose);
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("filters").addEventListener("reset", () => setTimeout(choose));
    // Letters work inside the browser alone, so that they never collide with a screen reader's or
    // speech control's commands; arrows also when nothing is focused and the browser is in view.
    const inView = () => {
      const box = byId("browser").getBoundingClientRect();
      return box.top < innerHeight / 2 && box.bottom > 0;
    };
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      if (event.target.closest("input, select, textarea, .scroll")) return;
      const by = { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1 }[event.key];
      const inside = byId("browser").contains(event.target);
      const idle = event.target === document.body && event.key.startsWith("Arrow") && inView();
      if (by && (inside || idle)) { event.preventDefault(); step(by); }
    });
    function follow() {
      if (!location.hash.startsWith("#case=")) return;
      const place = chosen.findIndex((at) => location.hash === `#case=${encodeURIComponent(index.cases[at].id)}`);
      if (place >= 0) { show(place, { quiet: true }); byId("cases").scrollIntoView(); }
    }
    addEventListener("hashchange", follow);
    byId("browser").hidden = false;
    choose();
    follow();
  }

  startTheme();
  startPrinting();
  if (byId("browser")) startBrowser();
})();
