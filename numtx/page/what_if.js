"use strict";

// What if: a number typed in for a cell, and every table after it as it is then.

function whatIf(data, calculate, tools) {
  const { tables, addressOf, digits, both } = tools;
  const place = document.getElementById("what-if");
  const run = changer(data, calculate);
  const LEVELS = 5; // of heat, as in the tables
  let target = null;

  const field = Object.assign(document.createElement("input"), { type: "number", step: "any", id: "set" });
  const button = (zh, en, action) => {
    const made = Object.assign(document.createElement("button"), { type: "button" });
    made.append(...both(zh, en));
    made.addEventListener("click", action);
    return made;
  };
  const label = document.createElement("label");
  label.append(...both("改成", "set to"), " ", field);
  const said = document.createElement("output");
  const undo = button("恢复原来的运行", "as it was recorded", () => update(run.reset));
  undo.id = "undo";

  const flatOf = (name, kind) => calculate.array(name)[kind];

  function cellOf(td) {
    const found = addressOf(td);
    if (!found) return null;
    const isGradient = found[0].startsWith("grad/");
    const name = isGradient ? found[0].slice(5) : found[0];
    const offset = calculate.place(calculate.array(name), found[1]);
    return { name, kind: isGradient ? "gradient" : "flat", offset };
  }

  // A number with the decimals that its cell had; whole numbers and truth values as they are.
  function textOf(x, decimals) {
    if (typeof x === "boolean" || !Number.isFinite(x)) return digits(true)(x);
    const text = decimals ? x.toFixed(decimals) : String(x);
    return Number(text) === 0 ? text.replace("-", "") : text;
  }

  // The number that is coloured strongest: see report_grid._heat.
  function heatOf(name, kind) {
    const leaf = data.stages[name]?.leaf;
    if (kind === "flat" && ["weights", "probabilities"].includes(leaf)) return 1;
    return Math.max(0, ...flatOf(name, kind).map((x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
  }

  const own = new WeakMap(); // the text and the style of a cell as the page came

  function paint(td, heat) {
    const { name, kind, offset } = cellOf(td);
    const [now, was] = [flatOf(name, kind)[offset], run.before(name, kind, offset)];
    if (!own.has(td)) own.set(td, [td.textContent, td.className]);
    const [text, style] = own.get(td);
    const moved = was !== undefined && !(Math.abs(now - was) <= 1e-9 * Math.max(Math.abs(was), heat)) && now !== was;
    if (!moved) {
      [td.textContent, td.className] = [text, style];
      return 0;
    }
    const decimals = /\.(\d+)/.exec(text)?.[1].length ?? (Number.isInteger(was) && kind === "flat" ? 0 : 2);
    td.textContent = textOf(now, decimals) + (calculate.array(name).pinned.has(offset) && kind === "flat" ? "*" : "");
    const level = Number.isFinite(now) && heat ? Math.min(LEVELS, Math.round((LEVELS * Math.abs(now)) / heat)) : 0;
    td.className = `${level ? (now < 0 ? "n" : "p") + level : ""} d`.trim();
    return 1;
  }

  // The sum and the largest entry that stand right of a row.
  function noteOf(row, moved) {
    const note = row.querySelector("td.note");
    if (!note) return;
    if (!own.has(note)) own.set(note, [note.textContent, ""]);
    [note.textContent] = own.get(note);
    if (!moved) return;
    const cells = [...row.querySelectorAll("td:not(.note)")].filter(addressOf);
    const numbers = cells.map((td) => {
      const { name, kind, offset } = cellOf(td);
      return Number(flatOf(name, kind)[offset]);
    });
    const largest = cells[numbers.indexOf(Math.max(...numbers))];
    const head = row.closest("table").tHead.rows[0].cells[largest.cellIndex].textContent;
    const sum = textOf(numbers.reduce((x, y) => x + y, 0), 2);
    note.textContent = note.textContent.replace(/[\d.]+/, sum).replace(/(max|最大) .*$/, `$1 ${head}`);
  }

  function repaint() {
    const heats = new Map();
    for (const table of tables.values()) {
      for (const row of table.tBodies[0].rows) {
        let moved = 0;
        for (const td of row.querySelectorAll("td:not(.note)")) {
          const cell = cellOf(td);
          if (!cell) continue;
          const key = `${cell.kind} ${cell.name}`;
          if (!heats.has(key)) heats.set(key, heatOf(cell.name, cell.kind));
          moved += paint(td, heats.get(key));
        }
        noteOf(row, moved);
      }
    }
  }

  function update(action) {
    action();
    tools.clear(); // marks are no part of a cell's own style
    repaint();
    tools.again();
  }

  function say() {
    if (!run.changed()) return said.replaceChildren();
    const loss = data.stages.loss && calculate.array("loss").flat[0];
    const was = run.before("loss", "flat", 0);
    const text = loss === undefined ? "" : ` ${digits(false)(was)} → ${digits(false)(loss)}`;
    return said.replaceChildren(...(text ? both("损失", "loss") : []), text);
  }

  field.addEventListener("change", () => {
    const value = Number(field.value);
    if (field.value === "" || !Number.isFinite(value) || !target) return;
    update(() => run.set(target[0], target[1], value));
  });

  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation(); // back to the cell, which stays held
    document.querySelector("td.here")?.focus({ preventScroll: true });
  });

  // Shows the field for a cell, or why there is none.
  return (name, index) => {
    place.hidden = name.startsWith("grad/");
    if (place.hidden) return;
    if (data.fixed || data.arrays[name].whole) {
      const whole = ["这里是整数或真假，不能改", "whole numbers and truth values are not set here"];
      place.replaceChildren(...both(...(data.fixed || whole)));
      return;
    }
    target = [name, index];
    field.value = String(flatOf(name, "flat")[calculate.place(calculate.array(name), index)]);
    const typing = document.activeElement === field;
    place.replaceChildren(label, ...(run.changed() ? [undo] : []), said);
    if (typing) field.focus({ preventScroll: true });
    say();
  };
}
