"use strict";

// The cells of the recorded arrays, their arithmetic and that of their gradients.

class NotHere extends Error {}

function calculator(data) {
  const arrays = new Map();
  const flows = new Map();

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

  const evaluators = evaluatorsOf(data, array, place);
  const sum = (pairs) => pairs.reduce((before, [x, y]) => before + x * y, 0);
  const brackets = (show) => (x) => (x < 0 ? `(${show(x)})` : show(x));

  // A cell of a stage, from its inputs; a parameter or a pinned cell is what it is, reads nothing
  // and so passes no gradient on.
  function cell(name, index) {
    const stage = data.stages[name];
    const cells = array(name);
    if (!stage || cells.pinned.has(place(cells, index))) return evaluators.given({ name }, index);
    return evaluators[stage.operation](stage, index);
  }

  // For each cell that a stage reads, the stage's cells that read it: [offset, derivative].
  function flow(name) {
    if (!flows.has(name)) {
      const readers = new Map();
      array(name).flat.forEach((_, offset) => {
        for (const [source, at, slope] of cell(name, indexOf(name, offset)).reads) {
          if (slope === 0) continue;
          const key = `${source} ${at}`;
          if (!readers.has(key)) readers.set(key, []);
          readers.get(key).push([offset, slope]);
        }
      });
      flows.set(name, readers);
    }
    return flows.get(name);
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
    for (const consumer of consumers) {
      for (const [at, slope] of flow(consumer.name).get(`${name} ${offset}`) || []) {
        reads.push([consumer.name, at, slope]);
        pairs.push([array(consumer.name).gradient[at], slope]);
      }
    }
    const value = sum(pairs);
    const text = (n) => pairs.map(([g, slope]) => `${n(g)}·${n(slope)}`).join(" + ") || "0";
    return { value, reads, steps: (show) => [["", text(brackets(show)), value]] };
  }

  return { array, cell, gradient, indexOf, place };
}
