"use strict";

// Outputs of a notebook: pointing at a cell outlines what made it and writes out its arithmetic; a
// click holds it. One script for all of them, whichever of them brings it first.

function attach(output) {
  const panel = output.querySelector(".panel");
  const tag = (name, text, className = "") => Object.assign(document.createElement(name), { textContent: text, className });
  let cells = null;
  let held = false;
  let marked = [];

  function release() {
    for (const [td, style] of marked) td.classList.remove(style);
    marked = [];
    held = false;
    panel.hidden = true;
  }

  function mark(td, style) {
    if (!td) return;
    td.classList.add(style);
    marked.push([td, style]);
  }

  // What a cell is made from, as far as the output has it.
  function describe(target, index) {
    const { text, reads } = cells.arithmetic(target, index, false);
    const prefix = cells.isGradient(target) ? "grad/" : "";
    const sources = [...new Set(reads.map(([source]) => source))];
    sources.forEach((source, k) => {
      for (const [name, offset] of reads) {
        if (name === source) mark(cells.cellAt(prefix + source, cells.calculate.indexOf(source, offset)), "abc"[Math.min(k, 2)]);
      }
    });
    panel.append(tag("pre", text), tag("div", sources.map((source) => `← ${prefix}${source}`).join("   "), "quiet"));
  }

  function show(td, hold) {
    // Read when it is first needed: a notebook has many outputs.
    cells ||= cellsBelow(output, JSON.parse(output.querySelector('script[type="application/json"]').textContent));
    const found = cells.addressOf(td);
    if (!found) return; // a gap
    release();
    held = hold;
    const [target, index] = found;
    mark(td, "here");
    panel.hidden = false;
    panel.replaceChildren(tag("b", cells.address(target, index)), `  ${cells.names(cells.nameOf(target), index)}`);
    try {
      describe(target, index);
    } catch (error) {
      if (!(error instanceof NotHere)) throw error;
      panel.append(tag("pre", `${error.message}: not in this output 不在此输出中; trace.stage(NAME)`));
    }
  }

  const cellOf = (event) => event.target.closest(".grid tbody td:not(.note)");
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  output.addEventListener("pointerover", (event) => {
    const td = cellOf(event);
    if (td && !held && event.pointerType !== "touch") show(td, false);
  });
  output.addEventListener("click", (event) => {
    const td = cellOf(event);
    if (td && held && td.classList.contains("here")) release();
    else if (td) show(td, true);
  });
  output.addEventListener("focusin", (event) => {
    const td = cellOf(event);
    if (td && !held) show(td, false);
  });
  output.addEventListener("keydown", (event) => {
    const td = cellOf(event);
    const move = moves[event.key];
    if (!td || !(move || event.key === "Enter" || event.key === "Escape")) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has keys of its own
    if (event.key === "Escape") return void release();
    if (event.key === "Enter") return void show(td, true);
    const row = td.closest("tbody").rows[td.parentNode.sectionRowIndex + move[0]];
    const next = row?.cells[td.cellIndex + move[1]];
    if (!next?.matches("td:not(.note)")) return;
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
    show(next, true);
  });
  for (const table of output.querySelectorAll("table.grid")) {
    const first = table.querySelector("tbody td");
    if (first) first.tabIndex = 0;
  }
}

// Attach to what stands in the page and is not alive yet.
function wake() {
  for (const output of document.querySelectorAll(".numtx.scripted:not(.alive)")) {
    output.classList.add("alive");
    attach(output);
  }
}
