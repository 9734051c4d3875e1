"use strict";

// The page: pointing at a cell outlines what made it and writes out its arithmetic.

(() => {
  const decode = (x) => (x === "inf" ? Infinity : x === "-inf" ? -Infinity : x === "nan" ? NaN : x);
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const [name, stage] of Object.entries(data.stages)) stage.name = name;
  for (const array of Object.values(data.arrays)) {
    if (array.values) array.values = array.values.map(decode);
    for (const key of ["gradient", "other", "otherGradient"]) {
      if (array[key]) array[key] = array[key].map(decode);
    }
  }
  const calculate = calculator(data);
  const panel = document.getElementById("panel");
  const exact = document.getElementById("exact");
  const output = document.getElementById("arithmetic");
  const GRADIENT = "grad/";

  // ---- cells and addresses

  const tables = new Map();
  const others = new Map(); // of the run beside this one
  for (const table of document.querySelectorAll("table.grid")) {
    const kind = "other" in table.dataset ? others : tables;
    kind.set(`${table.dataset.of} ${table.dataset.at}`, table);
  }

  const isGradient = (target) => target.startsWith(GRADIENT);
  const nameOf = (target) => (isGradient(target) ? target.slice(GRADIENT.length) : target);

  function toIndex(position, gap) {
    if (!gap || position < gap[0]) return position;
    return position === gap[0] ? -1 : position - gap[0] - 1 + gap[1];
  }

  function toPosition(i, gap) {
    if (!gap || i < gap[0]) return i;
    return i < gap[1] ? -1 : i - gap[1] + gap[0] + 1;
  }

  // Which rows and columns a table leaves out: [the first, the one after the last].
  function gaps(shape, line) {
    const lengths = [line ? 1 : shape.at(-2), shape.at(-1) ?? 1];
    const half = data.corner / 2;
    if (data.full || Math.max(...lengths) <= data.largest) return [null, null];
    return lengths.map((n) => (n > data.corner ? [half, n - half] : null));
  }

  // The address of a table's cell: [target, index]; null for a gap.
  function addressOf(td) {
    const table = td.closest("table.grid");
    const target = table.dataset.of;
    const { shape } = data.arrays[nameOf(target)];
    const at = table.dataset.at ? table.dataset.at.split(",").map(Number) : [];
    const line = "line" in table.dataset;
    const [rowGap, columnGap] = gaps(shape, line);
    const row = toIndex(td.parentNode.sectionRowIndex, rowGap);
    const column = toIndex(td.cellIndex - 1, columnGap);
    if (row < 0 || column < 0) return null;
    if (!shape.length) return [target, []];
    return [target, line ? [...at, column] : [...at, row, column]];
  }

  // The table cell of an address, if it is shown.
  function cellAt(target, index, among = tables) {
    const { shape } = data.arrays[nameOf(target)];
    const where = [...index];
    if (data.stages[nameOf(target)]?.operation === "allowed") where[1] = 0; // same in every head
    for (const line of [false, true]) {
      const [rowGap, columnGap] = gaps(shape, line);
      const at = where.slice(0, line ? -1 : -2).join(",");
      const table = among.get(`${target} ${at}`);
      if (!table || "line" in table.dataset !== line) continue;
      const row = line ? 0 : toPosition(where.at(-2), rowGap);
      const column = where.length ? toPosition(where.at(-1), columnGap) : 0;
      return table.tBodies[0].rows[row]?.cells[column + 1] || null;
    }
    return null;
  }

  // `decoder.0.self_attention.scores[4,1]`: leading axes of size one are left out.
  function address(target, index) {
    const { shape } = data.arrays[nameOf(target)];
    const first = shape.findIndex((length) => length !== 1);
    const short = first < 0 ? index.slice(-1) : index.slice(first);
    return short.length ? `${target}[${short.join(",")}]` : target;
  }

  // [target, index] of an address after `#`; null where there is no such cell.
  function parse(hash) {
    let text = hash.slice(1);
    try {
      text = decodeURIComponent(text);
    } catch {
      return null;
    }
    const match = /^(.+?)(?:\[([\d,\s]*)\])?$/.exec(text);
    if (!match || !(nameOf(match[1]) in data.arrays)) return null;
    const { shape } = data.arrays[nameOf(match[1])];
    const given = match[2] ? match[2].split(",").map(Number) : [];
    const left = shape.length - given.length;
    if ((left && !given.length) || left < 0 || shape.slice(0, left).some((n) => n !== 1)) return null;
    const index = [...Array(left).fill(0), ...given];
    return index.every((i, axis) => i < shape[axis]) ? [match[1], index] : null;
  }

  // ---- arithmetic

  const digits = (full) => (x) => {
    if (typeof x === "boolean") return x ? "1" : "0";
    if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
    return full ? String(x) : String(Number(x.toPrecision(4)));
  };

  function work(target, index) {
    const name = nameOf(target);
    return isGradient(target) ? calculate.gradient(name, index) : calculate.cell(name, index);
  }

  // {text, value, steps, reads} of a cell; `target` is a stage, or grad/STAGE.
  function arithmetic(target, index, full = true) {
    const { value, reads, steps } = work(target, index);
    const show = digits(full);
    const lines = steps(show);
    const text = lines
      .map(([name, expression, result]) => {
        const end = expression === show(result) ? "" : ` = ${show(result)}`;
        return `${name ? `${name} = ` : "= "}${expression}${end}`;
      })
      .join("\n");
    return { text, value, steps: lines, reads };
  }

  // ---- the panel

  const drawn = document.getElementById("products");

  const both = (zh, en) => {
    const part = (lang, text) => Object.assign(document.createElement("span"), { lang, textContent: text });
    return [part("zh", zh), " ", part("en", en)];
  };

  // The names of a cell's tokens: `4 天 → 1 今天`.
  function names(name, index) {
    const stage = data.stages[name];
    if (!stage) return "";
    const found = stage.axes.map((axis, k) => {
      const i = index[k];
      if (axis in stage.sides) return data.tokens[stage.sides[axis]]?.[index[0]]?.[i] ?? "";
      return axis === "v" ? (data.vocabulary?.[i] ?? "") : "";
    });
    return found.map((token, k) => token && `${index[k]} ${token}`).filter(Boolean).join(" → ");
  }

  function recorded(target, index) {
    const cells = calculate.array(nameOf(target));
    return (isGradient(target) ? cells.gradient : cells.flat)[calculate.place(cells, index)];
  }

  function link(target, index, text, style) {
    const a = Object.assign(document.createElement("a"), { textContent: text, className: style });
    a.href = `#${address(target, index)}`;
    return a;
  }

  const drawing = productDrawing(data, calculate, link, address, both);
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
    if (!td) return point(...found);
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
