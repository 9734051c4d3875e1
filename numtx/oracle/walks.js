"use strict";

// How a stage walks through its operands, by the letters of its axes: the terms of a contraction,
// and, the other way, the rows of any stage that read a cell.

function walks(data, array, indexOf) {
  const plans = new Map();

  // The axes of the operands and of the result of a specification: `btd,(hd)v->btv`.
  const axesOf = (stage) =>
    stage.specification.split("->").map((text) =>
      text.split(",").map((part) => (part.match(/\([a-z]+\)|[a-z]/g) || []).map((x) => x.replace(/[()]/g, ""))),
    );

  // For each letter the step of each operand, and for each term of the sum how far each operand
  // moves from its first place.
  function plan(stage) {
    if (plans.has(stage.name)) return plans.get(stage.name);
    const [left, right] = axesOf(stage);
    const operands = stage.inputs.map(array);
    const sizes = { ...data.sizes };
    operands.forEach((cells, k) =>
      left[k].forEach((axis, i) => axis.length === 1 && (sizes[axis] = cells.shape[i])),
    );
    const steps = operands.map((cells, k) => {
      const found = {};
      left[k].forEach((axis, i) => {
        let step = cells.strides[i];
        for (const letter of [...axis].reverse()) {
          found[letter] = step;
          step *= sizes[letter];
        }
      });
      return found;
    });
    const free = new Set(right[0].join(""));
    if (free.has("h")) free.add("g");
    const summed = [...new Set(steps.slice(0, 2).flatMap(Object.keys))].filter((x) => !free.has(x));
    let terms = [steps.slice(0, 2).map(() => 0)];
    for (const letter of summed.sort()) {
      const numbers = [...Array(sizes[letter]).keys()];
      terms = terms.flatMap((at) =>
        numbers.map((n) => at.map((start, k) => start + n * (steps[k][letter] || 0))),
      );
    }
    const made = { operands, sizes, steps, terms, result: right[0] };
    plans.set(stage.name, made);
    return made;
  }

  // The first place of each operand for a cell of the result.
  function starts(walk, index) {
    const bound = {};
    walk.result.forEach((axis, i) => {
      let rest = index[i];
      for (const letter of [...axis].reverse()) {
        bound[letter] = rest % walk.sizes[letter];
        rest = Math.floor(rest / walk.sizes[letter]);
      }
    });
    if ("h" in bound && !("g" in bound)) {
      bound.g = Math.floor(bound.h / (walk.sizes.h / walk.sizes.g));
    }
    return walk.steps.map((steps) =>
      Object.keys(steps).reduce((sum, letter) => sum + steps[letter] * (bound[letter] || 0), 0),
    );
  }

  // The first cells of the rows of a stage (the cells, where it is not by row) that may read a cell
  // of its k-th input: the letters that both have are those of the cell, the others run.
  function readers(stage, k, offset) {
    const { shape } = array(stage.name);
    const source = array(stage.inputs[k]).shape;
    const axes = stage.operation === "add" ? stage.axes : axesOf(stage)[0][k];
    const sizes = stage.operation === "contract" ? plan(stage).sizes : data.sizes;
    const bound = {};
    if (axes?.length === source.length) { // else it says nothing of its readers
      indexOf(stage.inputs[k], offset).forEach((i, axis) => {
        for (const letter of [...axes[axis]].reverse()) {
          const size = axes[axis].length === 1 ? source[axis] : sizes[letter];
          bound[letter] = i % size;
          i = Math.floor(i / size);
        }
      });
    }
    if (stage.operation === "append") delete bound.s; // the second part stands after the first
    if (stage.attributes.over === "projection") { // every head reads all heads
      delete bound.h;
      delete bound.g;
    }
    const range = (letter, size) => {
      if (letter in bound) return [bound[letter]];
      const [first, count] = letter === "h" && "g" in bound
        ? [bound.g * (sizes.h / sizes.g), sizes.h / sizes.g] // the heads that share a key
        : [0, size];
      return [...Array(count).keys()].map((i) => first + i);
    };
    let found = [0];
    stage.axes.forEach((axis, i) => {
      for (const letter of axis) {
        const size = axis.length === 1 ? shape[i] : sizes[letter];
        const here = stage.byRow && i === shape.length - 1 ? [0] : range(letter, size);
        found = found.flatMap((start) => here.map((n) => start * size + n));
      }
    });
    return found;
  }

  return { plan, starts, readers, axesOf };
}
