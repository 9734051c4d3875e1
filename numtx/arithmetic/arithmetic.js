"use strict";

// The cells of the recorded arrays, their arithmetic and that of their gradients.

class NotHere extends Error {}

const HELD = 1 << 18; // numbers of rows that are kept for the gradients

function calculator(data) {
  const arrays = new Map();
  const chains = new Map();
  let held = 0;

  // An array with its strides; one that is too large for the page was left out.
  function array(name) {
    if (!arrays.has(name)) {
      const found = data.arrays[name];
      if (!found || !found.values) throw new NotHere(name);
      const strides = [];
      found.shape.reduceRight((step, length, axis) => ((strides[axis] = step), step * length), 1);
      const { shape, values: flat, gradient } = found;
      arrays.set(name, { name, shape, strides, flat, gradient, pinned: new Set(found.pinned) });
    }
    return arrays.get(name);
  }

  const place = (cells, index) => index.reduce((sum, i, axis) => sum + i * cells.strides[axis], 0);

  function indexOf(name, offset) {
    return array(name).strides.map((step) => {
      const i = Math.floor(offset / step);
      offset -= i * step;
      return i;
    });
  }

  const walk = walks(data, array, indexOf);
  const operations = operationsOf(data, array, place, walk);
  const { numberAt, rowOf } = operations;
  const brackets = (show) => (x) => (x < 0 ? `(${show(x)})` : show(x));

  // A cell of a stage, from its inputs; a parameter or a pinned cell is what it is, reads nothing
  // and so passes no gradient on.
  function cell(name, index) {
    const stage = data.stages[name];
    const cells = array(name);
    if (!stage || cells.pinned.has(place(cells, index))) {
      const value = cells.flat[place(cells, index)];
      return { value, reads: [], steps: (show) => [["", show(value), value]] };
    }
    const number = numberAt(stage, index);
    return { value: number.value, reads: readsOf(number), steps: (show) => stepsOf(number, show) };
  }

  // A row of a stage, by its first cell, as the chain rule walks through it. The latest are kept,
  // as cells beside one another are read by the same rows.
  function chain(stage, start) {
    const key = `${stage.name} ${start}`;
    const found = chains.get(key) || chainOf(rowOf(stage, indexOf(stage.name, start)));
    if (!chains.has(key)) {
      chains.set(key, found);
      held += found.links.length;
      for (const [oldest, { links }] of chains) {
        if (held <= HELD) break;
        chains.delete(oldest);
        held -= links.length;
      }
    }
    return found;
  }

  // The gradient at a cell: over the cells that read it, their gradient times the derivative.
  function gradient(name, index) {
    const cells = array(name);
    const offset = place(cells, index);
    const consumers = Object.values(data.stages).filter(
      (stage) => stage.inputs.includes(name) && "gradient" in data.arrays[stage.name],
    );
    if (!consumers.length) { // where the backward pass starts
      const value = cells.gradient[offset];
      return { value, reads: [], steps: (show) => [["", show(value), value]] };
    }
    const reads = [];
    const pairs = [];
    for (const stage of consumers) {
      const own = array(stage.name);
      const inputs = [...stage.inputs.keys()].filter((k) => stage.inputs[k] === name);
      for (const start of new Set(inputs.flatMap((k) => walk.readers(stage, k, offset)))) {
        slopesBy(chain(stage, start), name, offset).forEach((slope, j) => {
          if (slope === 0 || own.pinned.has(start + j)) return;
          reads.push([stage.name, start + j, slope]);
          pairs.push([own.gradient[start + j], slope]);
        });
      }
    }
    const value = pairs.reduce((sum, [g, slope]) => sum + g * slope, 0);
    const text = (n) => pairs.map(([g, slope]) => `${n(g)}·${n(slope)}`).join(" + ") || "0";
    return { value, reads, steps: (show) => [["", text(brackets(show)), value]] };
  }

  // A product's cell: its factors (`grad/` before a gradient), for each term the place in both, and
  // the place of what is added to it.
  const product = (left, right, terms, bias = null) => ({ left, right, terms, bias });

  // The matrix product that a cell of a stage is one of; none where it is computed otherwise.
  function productOf(name, index) {
    const stage = data.stages[name];
    const cells = array(name);
    if (stage?.operation !== "contract" || stage.inputs.length < 2) return [];
    if (cells.pinned.has(place(cells, index))) return [];
    const plan = walk.plan(stage);
    const first = walk.starts(plan, index);
    const terms = plan.terms.map(([i, j]) => [i + first[0], j + first[1]]);
    return [product(...stage.inputs.slice(0, 2), terms, stage.inputs[2] ? [stage.inputs[2], first[2]] : null)];
  }

  // The products that the gradient at a cell is the sum of, one for each product that reads it:
  // dX = dC·W^T of a left factor, dW = X^T·dC of a right one.
  function productsOfGradient(name, index) {
    const offset = place(array(name), index);
    const found = [];
    for (const stage of Object.values(data.stages)) {
      if (stage.operation !== "contract" || !("gradient" in data.arrays[stage.name])) continue;
      for (const k of [0, 1]) {
        if (stage.inputs.length < 2 || stage.inputs[k] !== name) continue;
        const [plan, own] = [walk.plan(stage), array(stage.name)];
        const terms = [];
        for (const cell of walk.readers(stage, k, offset)) {
          const first = walk.starts(plan, indexOf(stage.name, cell));
          const term = plan.terms.find((at) => at[k] + first[k] === offset);
          if (term && !own.pinned.has(cell)) terms.push([cell, term[1 - k] + first[1 - k]]);
        }
        const [result, other] = [`grad/${stage.name}`, stage.inputs[1 - k]];
        found.push(k ? product(other, result, terms.map(([a, b]) => [b, a])) : product(result, other, terms));
      }
    }
    return found;
  }

  // After a cell was changed, what was computed from it is computed anew.
  function forget() {
    chains.clear();
    held = 0;
    operations.forget();
  }

  return {
    array, cell, forget, gradient, indexOf, numberAt, place, productOf, productsOfGradient, rowOf,
  };
}
