"use strict";

// The page: pointing at a cell outlines what made it and writes out its arithmetic.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const cells = cellsBelow(document, data);
  const { address, addressOf, arithmetic, calculate, cellAt, digits, isGradient, nameOf, names } = cells;
  const { others, parse, recorded, tables } = cells;
  const panel = document.getElementById("panel");
  const exact = document.getElementById("exact");
  const output = document.getElementById("arithmetic");
  const GRADIENT = "grad/";

  // ---- the panel

  const drawn = document.getElementById("products");

  const both = (zh, en) => {
    const part = (lang, text) => Object.assign(document.createElement("span"), { lang, textContent: text });
    return [part("zh", zh), " ", part("en", en)];
  };

  function link(target, index, text, style) {
    const a = Object.assign(document.createElement("a"), { textContent: text, className: style });
    a.href = `#${address(target, index)}`;
    return a;
  }

  const drawing = productDrawing(data, calculate, link, address, both);
  const trial = whatIf(data, calculate, {
    tables, addressOf, digits, both, clear, again: () => point(...current),
  });
  let current = null;
  let held = false;
  let marked = [];

  function mark(element, style) {
    if (!element) return;
    element.classList.add(style);
    marked.push([element, style]);
  }

  function clear() {
    for (const [element, style] of marked) element.classList.remove(style);
    marked = [];
  }

  function point(target, index) {
    clear();
    current = [target, index];
    const td = cellAt(target, index);
    if (td) {
      mark(td, "here");
      mark(td.parentNode.cells[0], "line");
      mark(td.closest("table").tHead?.rows[0].cells[td.cellIndex], "line");
    }
    mark(cellAt(target, index, others), "here");
    showBeside(target, index);
    trial(target, index);
    panel.hidden = false;
    const title = document.getElementById("cell");
    const tokens = names(nameOf(target), index);
    title.replaceChildren(link(target, index, address(target, index), ""), tokens && `  ${tokens}`);
    document.getElementById("recorded").textContent = td ? td.textContent : "";
    output.textContent = "";
    drawn.replaceChildren();
    try {
      describe(target, index);
    } catch (error) {
      if (!(error instanceof NotHere)) throw error;
      const name = error.message;
      document.getElementById("from").replaceChildren(
        ...both(`${name} 太大，未写入本页；--full 写入全部`, `${name} is too large and not in this page; --full puts everything in`),
      );
    }
  }

  // The two values of a cell, where there is another run.
  function showBeside(target, index) {
    const line = document.getElementById("beside");
    const { values, other, otherGradient } = data.arrays[nameOf(target)];
    const there = isGradient(target) ? otherGradient : other;
    line.hidden = !data.sides || there === null || !values;
    if (line.hidden) return;
    const own = Number(recorded(target, index));
    const its = there ? Number(there[calculate.place(calculate.array(nameOf(target)), index)]) : own;
    const text = digits(true);
    line.replaceChildren(
      ...both(...data.sides.own), ` ${text(own)}   `, ...both(...data.sides.other), ` ${text(its)}   `,
      ...both("差", "difference"), ` ${text(own === its ? 0 : Math.abs(own - its))}`,
    );
  }

  function describe(target, index) {
    const array = calculate.array(nameOf(target));
    document.getElementById("recorded").textContent = digits(true)(recorded(target, index));
    const { text, reads } = arithmetic(target, index, exact.checked);
    const pinned = !isGradient(target) && array.pinned.has(calculate.place(array, index));
    output.textContent = text;
    drawn.replaceChildren(...drawing(target, index, digits(exact.checked)));
    const prefix = isGradient(target) ? GRADIENT : "";
    const sources = [...new Set(reads.map(([source]) => source))];
    const from = pinned ? both("此处固定为该值，不计算", "held at this value, not computed") : [];
    sources.forEach((source, k) => {
      const style = "abc"[Math.min(k, 2)];
      const cells = reads.filter((read) => read[0] === source).map((read) => read[1]);
      for (const offset of cells) {
        mark(cellAt(prefix + source, calculate.indexOf(source, offset)), style);
      }
      const first = calculate.indexOf(source, cells[0]);
      const many = cells.length > 1 ? ` (${cells.length})` : "";
      from.push(link(prefix + source, first, `${prefix}${source}${many}`, style));
    });
    document.getElementById("from").replaceChildren(...from);
  }

  function show(td, focus) {
    const found = addressOf(td);
    if (!found) return;
    point(...found);
    if (focus) {
      if (!td.hasAttribute("tabindex")) td.tabIndex = -1; // not before: a page has many cells
      td.focus({ preventScroll: true });
      td.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  function hold(td) {
    if (!addressOf(td)) return; // a gap
    held = true;
    show(td, true);
    history.replaceState(history.state, "", `#${address(...current)}`);
  }

  // Lets go of the cell, and says whether there was one.
  function release() {
    const was = !panel.hidden;
    held = false;
    clear();
    panel.hidden = true;
    return was;
  }

  function follow() {
    const found = parse(location.hash);
    if (!found) return undefined;
    const side = document.getElementById(isGradient(found[0]) ? "show-gradients" : "show-values");
    if (side) side.checked = true;
    const td = cellAt(...found);
    if (!td) return point(...found); // its table shows corners alone
    unfold(td);
    held = true;
    show(td, true);
    td.scrollIntoView({ block: "center", inline: "center" });
  }

  // ---- events

  const gridCell = (event) => event.target.closest?.(".grid tbody td:not(.note)");

  document.addEventListener("pointerover", (event) => {
    const td = gridCell(event);
    if (td && !held && event.pointerType !== "touch") show(td, false);
  });
  document.addEventListener("click", (event) => {
    const td = gridCell(event);
    if (td && held && td.classList.contains("here")) release();
    else if (td) hold(td);
  });
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  document.addEventListener("keydown", (event) => {
    const td = gridCell(event);
    if (!td) return undefined;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return hold(td);
    }
    const move = moves[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return undefined;
    event.preventDefault();
    const rows = td.closest("tbody").rows;
    const step = (from) =>
      from && rows[from.parentNode.sectionRowIndex + move[0]]?.cells[from.cellIndex + move[1]];
    let next = step(td);
    if (next?.matches("td:not(.note)") && !addressOf(next)) next = step(next);
    if (next?.matches("td:not(.note)")) hold(next);
    return undefined;
  });
  for (const table of [...tables.values(), ...others.values()]) {
    const first = table.querySelector("tbody td");
    if (first) first.tabIndex = 0;
  }
  document.addEventListener("focusin", (event) => {
    const td = gridCell(event);
    if (td && !td.classList.contains("here")) show(td, false);
  });
  exact.addEventListener("change", () => current && point(...current));
  document.getElementById("close").addEventListener("click", release);
  addEventListener("hashchange", follow);
  follow();

  window.numtx = { addressOf, arithmetic, calculate, cellAt, data, recorded, release };
})();
