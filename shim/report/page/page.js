"use strict";
// The table stands in the page; this adds a filter, a way through it by keys, and the panel that says why.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const root = document.documentElement;
  const calm = ["same", "absent", "plain"];

  // An element with a class, a text and children; whatever is text comes in as text.
  const made = (tag, name = "", ...inside) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside.filter((each) => each !== null && each !== ""));
    return element;
  };

  // Theme ------------------------------------------------------------------------------------------------------------
  const themes = ["auto", "light", "dark"];
  const theme = $("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    theme.textContent = `Theme: ${next}`;
  });

  // Printed is what is folded, too. --------------------------------------------------------------------------------------
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open])")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => folded.forEach((each) => (each.open = false)));

  const grid = $("grid");
  if (!grid) return;
  for (const each of [document.querySelector(".controls"), $("keys"), $("readout")]) each.hidden = false;

  const rows = [...grid.querySelectorAll("tbody tr:not(.group)")];
  const heads = [...grid.tHead.rows[0].cells];
  const textOf = new Map(rows.map((row) => [row, `${groupOf(row)} ${row.cells[0].textContent}`.toLowerCase()]));

  function groupOf(row) {
    const first = row.parentElement.rows[0];
    return first.classList.contains("group") ? first.textContent.trim() : "";
  }
  const statusOf = (cell) => cell.className.split(" ")[0];

  // Filter -----------------------------------------------------------------------------------------------------------
  const search = $("search"), only = $("only");
  const tiles = [...document.querySelectorAll("button.tile")];
  let shown = rows;

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const statuses = tiles.filter((tile) => tile.ariaPressed === "true").map((tile) => tile.dataset.status);
    const meets = (row) => {
      const cells = [...row.cells].slice(1);
      return words.every((word) => textOf.get(row).includes(word))
        && (!statuses.length || cells.some((cell) => statuses.includes(statusOf(cell))))
        && (!only.checked || cells.some((cell) => !calm.includes(statusOf(cell))));
    };
    const keep = new Set(rows.filter(meets));
    for (const row of rows) row.hidden = !keep.has(row);
    for (const body of grid.tBodies) body.hidden = [...body.rows].every((row) => row.hidden || row.matches(".group"));
    shown = [...keep];
    $("nothing").hidden = shown.length > 0;
    const all = shown.length === rows.length ? "" : `${shown.length} of `;
    const columns = heads.length - 1;
    $("table-title").textContent =
      `${all}${rows.length} row${rows.length === 1 ? "" : "s"}, ${columns} column${columns === 1 ? "" : "s"}`;
    $("shown").textContent = `${shown.length} of ${rows.length} rows are shown`;
    if (shown.length && !keep.has(current?.parentElement)) enter(shown[0].cells[1]);
  }
  search.addEventListener("input", filter);
  only.addEventListener("change", filter);
  for (const tile of tiles) {
    tile.addEventListener("click", () => {
      tile.ariaPressed = String(tile.ariaPressed !== "true");
      filter();
    });
  }
  $("signs").addEventListener("change", (event) => grid.classList.toggle("signs", event.target.checked));
  grid.classList.toggle("signs", $("signs").checked); // a browser may remember the box from before a reload

  // A way through the table: one cell can be reached by Tab, arrows lead on from there. ----------------------------------
  let current = null;

  function enter(cell) {
    if (!cell) return;
    current?.removeAttribute("tabindex");
    current = cell;
    cell.tabIndex = 0;
  }

  function told(cell) {
    const row = cell.parentElement, group = groupOf(row);
    const what = data.statuses[statusOf(cell)].word;
    $("readout").replaceChildren(
      group ? `${group} › ` : "", made("strong", "", row.cells[0].textContent), ` · ${heads[cell.cellIndex].textContent}: `,
      made("strong", "", [what, cell.textContent].filter(Boolean).join(", ")));
    for (const each of grid.querySelectorAll(".at")) each.classList.remove("at");
    row.classList.add("at");
    heads[cell.cellIndex].classList.add("at");
  }

  const moves = {
    ArrowUp: (row, column) => [row - 1, column],
    ArrowDown: (row, column) => [row + 1, column],
    ArrowLeft: (row, column) => [row, column - 1],
    ArrowRight: (row, column) => [row, column + 1],
    PageUp: (row, column) => [row - 10, column],
    PageDown: (row, column) => [row + 10, column],
    Home: (row, _column, event) => [event.ctrlKey ? 0 : row, 1],
    End: (row, _column, event) => [event.ctrlKey ? Infinity : row, Infinity],
  };
  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    if (!cell) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(cell);
    } else if (event.key in moves) {
      event.preventDefault();
      const [row, column] = moves[event.key](shown.indexOf(cell.parentElement), cell.cellIndex, event);
      const cells = shown[Math.max(0, Math.min(row, shown.length - 1))].cells;
      focus(cells[Math.max(1, Math.min(column, cells.length - 1))]);
    }
  });

  function focus(cell) {
    enter(cell);
    cell.focus({ preventScroll: true });
    bring(cell);
  }

  // Scroll until a cell is seen, and not behind the head or the first column.
  function bring(cell) {
    grid.parentElement.style.scrollPadding = `${grid.tHead.offsetHeight + 6}px 8px 8px ${heads[0].offsetWidth + 6}px`;
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  grid.addEventListener("focusin", (event) => {
    const cell = event.target.closest("td");
    if (cell) told(cell);
  });
  grid.addEventListener("mouseover", (event) => {
    const cell = event.target.closest("td");
    if (cell) told(cell);
  });
  grid.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (cell) {
      enter(cell);
      open(cell);
    }
  });

  // The panel ----------------------------------------------------------------------------------------------------------
  const panel = $("panel");
  let opened = null;

  function open(cell) {
    if (cell.dataset.d === undefined) return;
    opened?.classList.remove("open");
    opened = cell;
    cell.classList.add("open");
    const row = cell.parentElement;
    $("panel-title").textContent = `${row.cells[0].textContent} · ${heads[cell.cellIndex].textContent}`;
    $("panel-body").replaceChildren(...reasons(data.details[cell.dataset.d], cell));
    panel.hidden = false;
    panel.scrollTop = 0;
    document.body.classList.add("opened");
    bring(cell);
    panel.focus({ preventScroll: true });
  }

  function close() {
    if (panel.hidden) return;
    panel.hidden = true;
    document.body.classList.remove("opened");
    opened.classList.remove("open");
    focus(opened);
    opened = null;
  }
  $("close").addEventListener("click", close);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target === search && search.value) {
      search.value = "";
      filter();
    } else if (event.key === "Escape") {
      close();
    } else if (event.key === "/" && !event.target.matches("input")) {
      event.preventDefault();
      search.focus();
    }
  });

  function reasons(detail, cell) {
    const status = statusOf(cell), meaning = data.statuses[status].meaning;
    const after = pathOf(detail.steps), before = pathOf(detail.stepsBefore);
    const compared = after.length > 0 && before.length > 0;
    const group = groupOf(cell.parentElement);
    const title = [group, detail.title].filter(Boolean).join(" · ");
    const parts = [made("p", "where", title), made("span", `badge ${status}`, cell.textContent)];
    if (meaning) parts.push(made("p", "where", meaning));
    parts.push(sides(detail));
    if (detail.changes) parts.push(made("h3", "", "What changes"), changes(detail.changes));
    if (after.length) parts.push(made("h3", "", "Why"), steps(after, compared ? before : null, "new"));
    if (before.length) {
      const earlier = made("details", "", made("summary", "", "Why it was otherwise before"));
      earlier.append(steps(before, compared ? after : null, "gone"));
      parts.push(made("h3"), earlier);
    }
    return parts;
  }

  const pathOf = (number) => (number === undefined ? [] : data.paths[number].map((step) => data.steps[step]));

  function sides(detail) {
    const list = made("dl", "sides");
    if (detail.before) list.append(made("dt", "", "before"), made("dd", "", detail.before));
    if (detail.after) list.append(made("dt", "", detail.before ? "after" : "has"), made("dd", "", detail.after));
    if (detail.digest) list.append(made("dt", "", "sha256"), made("dd", "", made("code", "", detail.digest)));
    return list;
  }

  function changes(lines) {
    const kinds = { "+": "gained", "-": "lost", "~": "changed" };
    const item = (line) => {
      const names = line.split(", ");
      const kind = kinds[line[0]] ?? "other";
      if (names.length <= 24) return made("li", kind, line);
      const summary = made("summary", "", `${names.slice(0, 12).join(", ")} … and ${names.length - 12} more`);
      return made("li", kind, made("details", "", summary, names.slice(12).join(", ")));
    };
    return made("ul", "changes", ...lines.map(item));
  }

  // Steps in their order; those that the other side does not have are marked.
  function steps(path, others, mark) {
    const known = others && new Set(others.map((step) => JSON.stringify(step)));
    return made("ol", "steps", ...path.map((step) => {
      const fresh = known !== null && !known.has(JSON.stringify(step));
      const because = made("div", "", step.warns ? made("span", "tag", "⚠ warning") : null,
        fresh ? made("span", "tag", mark) : null, step.because);
      if (step.source) because.append(made("span", "source", step.source));
      return made("li", `${fresh ? "fresh" : ""} ${step.warns ? "warns" : ""}`.trim(), made("span", "layer", step.layer), because);
    }));
  }

  enter(rows[0].cells[1]);
  if (only.checked || search.value) filter();
})();
