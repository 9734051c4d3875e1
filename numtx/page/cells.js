"use strict";

// The cells of the tables below an element of a page, or of an output of a notebook: their
// addresses, the names of their tokens, and their arithmetic as text.

function cellsBelow(root, data) {
  const decode = (x) => (x === "inf" ? Infinity : x === "-inf" ? -Infinity : x === "nan" ? NaN : x);
  for (const [name, stage] of Object.entries(data.stages)) stage.name = name;
  for (const array of Object.values(data.arrays)) {
    if (array.values) array.values = array.values.map(decode);
    for (const key of ["gradient", "other", "otherGradient"]) {
      if (array[key]) array[key] = array[key].map(decode);
    }
  }
  const calculate = calculator(data);
  const GRADIENT = "grad/";

  // ---- cells and addresses

  const tables = new Map();
  const others = new Map(); // of the run beside this one
  for (const table of root.querySelectorAll("table.grid")) {
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

  return {
    address, addressOf, arithmetic, calculate, cellAt, digits, isGradient, nameOf, names, others, parse,
    recorded, tables,
  };
}
