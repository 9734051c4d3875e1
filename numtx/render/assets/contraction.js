"use strict";

// How a contraction walks through its operands.

function contractions(data, array) {
  const plans = new Map();

  // For each letter the step of each operand, and for each term of the sum how far each operand
  // moves from its first place.
  function plan(stage) {
    if (plans.has(stage.name)) return plans.get(stage.name);
    const [left, right] = stage.specification.split("->").map((text) =>
      text.split(",").map((part) => part.match(/\([a-z]+\)|[a-z]/g).map((x) => x.replace(/[()]/g, ""))),
    );
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

  return { plan, starts };
}
