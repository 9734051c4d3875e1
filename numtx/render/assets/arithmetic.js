"use strict";

// The cells of the recorded arrays, their arithmetic and that of their gradients.

class NotHere extends Error {}

function calculator(data) {
  const arrays = new Map();
  const readers = new Map();

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

  const { numberAt, rowOf } = operationsOf(data, array, place);
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

  // For each cell that a stage reads, the rows of the stage that read it, by their first cells.
  function readersOf(name) {
    if (!readers.has(name)) {
      const found = new Map();
      const done = new Set();
      array(name).flat.forEach((_, offset) => {
        if (done.has(offset)) return;
        const numbers = rowOf(data.stages[name], indexOf(name, offset));
        numbers.forEach((_, j) => done.add(offset + j));
        for (const x of ordered(numbers)) {
          if (!x.key) continue;
          const key = x.key.join(" ");
          if (!found.has(key)) found.set(key, new Set());
          found.get(key).add(offset);
        }
      });
      readers.set(name, found);
    }
    return readers.get(name);
  }

  // The gradient at a cell: over the cells that read it, their gradient times the derivative.
  function gradient(name, index) {
    const cells = array(name);
    const offset = place(cells, index);
    const consumers = Object.values(data.stages).filter(
      (stage) => stage.inputs.includes(name) && data.arrays[stage.name].gradient,
    );
    if (!consumers.length) { // where the backward pass starts
      const value = cells.gradient[offset];
      return { value, reads: [], steps: (show) => [["", show(value), value]] };
    }
    const reads = [];
    const pairs = [];
    for (const stage of consumers) {
      const own = array(stage.name);
      for (const start of readersOf(stage.name).get(`${name} ${offset}`) || []) {
        slopesBy(rowOf(stage, indexOf(stage.name, start)), name, offset).forEach((slope, j) => {
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

  return { array, cell, gradient, indexOf, place };
}
