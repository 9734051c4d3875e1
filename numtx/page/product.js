"use strict";

// A matrix product drawn as one: a row of the left factor, a column of the right one, the cell; of
// every head beside the others.

function productDrawing(data, calculate, link, address, both) {
  const MOST = 12; // terms that are drawn
  const HEADS = 8;
  const make = (tag, className, ...children) => {
    const element = Object.assign(document.createElement(tag), { className });
    element.append(...children);
    return element;
  };
  const isGradient = (target) => target.startsWith("grad/");
  const bare = (target) => (isGradient(target) ? target.slice(5) : target);

  function valueAt(target, offset) {
    const cells = calculate.array(bare(target));
    return (isGradient(target) ? cells.gradient : cells.flat)[offset];
  }

  // The name of an index along an axis: its token where it has one.
  function label(name, index, axis) {
    const stage = data.stages[name];
    const side = stage?.sides[stage.axes[axis]];
    const token = side && data.tokens[side]?.[index[0]]?.[index[axis]];
    return token ? `${index[axis]} ${token}` : String(index[axis]);
  }

  // What the terms run through in a factor: `keys[1,:]`, a link to its first cell, and the labels.
  function along(target, offsets, style) {
    const name = bare(target);
    const places = offsets.map((offset) => calculate.indexOf(name, offset));
    const runs = places[0].map((i, axis) => places.some((place) => place[axis] !== i));
    const text = address(target, places[0].map((i, axis) => (runs[axis] ? ":" : i)));
    const axes = [...runs.keys()].filter((axis) => runs[axis]);
    const labels = places.map((place) => axes.map((axis) => label(name, place, axis)).join(", "));
    return { title: link(target, places[0], text, style), labels };
  }

  // The terms that are shown; null where some are left out.
  const shown = (terms) =>
    terms.length <= MOST ? terms : [...terms.slice(0, MOST / 2), null, ...terms.slice(-MOST / 2)];

  // A row, or a column, of numbers with a label each.
  function line(target, part, show, style, isColumn) {
    const kept = part.filter((offset) => offset !== null);
    const { title, labels } = along(target, kept, style);
    let k = 0;
    const pairs = part.map((offset) =>
      offset === null ? ["...", "..."] : [labels[k++], show(valueAt(target, offset))],
    );
    const head = (text) => make("th", "", text);
    const body = make("table", `stated ${isColumn ? "column" : "row"}`);
    const rows = isColumn
      ? pairs.map(([name, number]) => make("tr", "", head(name), make("td", style, number)))
      : [make("tr", "", ...pairs.map(([name]) => head(name))),
         make("tr", "", ...pairs.map(([, number]) => make("td", style, number)))];
    body.append(make("tbody", "", ...rows));
    return make("figure", "factor", make("figcaption", "", title), body);
  }

  const sign = (text) => make("span", "sign", text);

  function figure({ left, right, terms, bias }, show, title) {
    const total = terms.reduce((sum, [i, j]) => {
      const [x, y] = [valueAt(left, i), valueAt(right, j)];
      return x === 0 && !Number.isFinite(y) ? sum : sum + x * y;
    }, bias ? valueAt(...bias) : 0);
    const part = shown(terms);
    const offsets = (k) => part.map((term) => (term ? term[k] : null));
    const parts = [
      line(left, offsets(0), show, "a", false), sign("·"),
      line(right, offsets(1), show, "b", true),
    ];
    if (bias) {
      const from = calculate.indexOf(bias[0], bias[1]);
      parts.push(sign("+"), make("figure", "factor",
        make("figcaption", "", link(bias[0], from, address(bias[0], from), "c")),
        sign(show(valueAt(...bias)))));
    }
    parts.push(make("span", "sum", "= ", make("output", "", show(total))));
    return make("div", "product", make("b", "", ...title), make("div", "", ...parts));
  }

  // The cell, and the same of every other head.
  function inHeads(name, index) {
    const axis = data.stages[name]?.axes.findIndex((letter) => letter === "h" || letter === "g") ?? -1;
    const count = axis < 0 ? 1 : data.arrays[name].shape[axis];
    if (count < 2 || count > HEADS) return [[[], index]];
    const others = [...Array(count).keys()].filter((head) => head !== index[axis]);
    return [index[axis], ...others].map((head) => {
      const there = [...index];
      there[axis] = head;
      const own = head === index[axis] ? "▸ " : "";
      const [zh, en] = data.stages[name].axes[axis] === "h" ? ["头", "head"] : ["键值头", "key/value head"];
      return [both(`${own}${zh} ${head}`, `${own}${en} ${head}`), there];
    });
  }

  return (target, index, show) => {
    const name = bare(target);
    const of = isGradient(target) ? calculate.productsOfGradient : calculate.productOf;
    return inHeads(name, index).flatMap(([title, there]) =>
      of(name, there).filter(({ terms }) => terms.length).map((found) => figure(found, show, title)),
    );
  };
}
