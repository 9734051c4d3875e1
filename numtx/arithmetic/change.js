"use strict";

// A run made once more after a cell was set: every stage after it, the loss, and all gradients, by
// the operations that write out the arithmetic of single cells.

function changer(data, calculate) {
  const stages = Object.values(data.stages);
  const recorded = new Map(); // what every array was, once something was set

  function remember() {
    if (recorded.size) return;
    for (const name of Object.keys(data.arrays)) {
      const { flat, gradient, pinned } = calculate.array(name);
      recorded.set(name, { flat: [...flat], gradient: gradient && [...gradient], pinned: new Set(pinned) });
    }
  }

  // Every cell of a stage from its inputs; one that is held stays.
  function remake(stage) {
    const { flat, pinned } = calculate.array(stage.name);
    flat.forEach((_, offset) => {
      if (pinned.has(offset)) return;
      flat[offset] = calculate.numberAt(stage, calculate.indexOf(stage.name, offset)).value;
    });
  }

  const hasGradient = (name) => "gradient" in data.arrays[name];
  const isRead = (name) => stages.some((stage) => stage.inputs.includes(name) && hasGradient(stage.name));

  // The chain rule backwards, a row at a time: what a stage hands on to the cells that it read.
  function handOn(stage) {
    const { flat, shape, gradient, pinned } = calculate.array(stage.name);
    const length = stage.byRow ? shape.at(-1) : 1;
    for (let start = 0; start < flat.length; start += length) {
      const row = calculate.rowOf(stage, calculate.indexOf(stage.name, start));
      const weighted = row.map((x, j) => [x, pinned.has(start + j) ? 0 : gradient[start + j]]);
      for (const [source, offset, slope] of readsFrom(weighted)) {
        if (hasGradient(source)) calculate.array(source).gradient[offset] += slope;
      }
    }
  }

  // All gradients; that of the loss, which nothing reads, is where they start.
  function backwards() {
    const own = stages.filter((stage) => hasGradient(stage.name));
    for (const name of Object.keys(data.arrays)) {
      if (hasGradient(name) && isRead(name)) calculate.array(name).gradient.fill(0);
    }
    for (const stage of own.reverse()) handOn(stage);
  }

  // Sets a cell of a stage, which is then held, or of a parameter.
  function set(name, index, value) {
    remember();
    const cells = calculate.array(name);
    const offset = calculate.place(cells, index);
    cells.flat[offset] = value;
    if (name in data.stages) cells.pinned.add(offset);
    calculate.forget();
    const moved = new Set([name]);
    for (const stage of stages) {
      if (!stage.inputs.some((source) => moved.has(source))) continue;
      remake(stage);
      moved.add(stage.name);
    }
    backwards();
  }

  function reset() {
    for (const [name, { flat, gradient, pinned }] of recorded) {
      const cells = calculate.array(name);
      flat.forEach((x, i) => (cells.flat[i] = x));
      gradient?.forEach((x, i) => (cells.gradient[i] = x));
      cells.pinned = new Set(pinned);
    }
    recorded.clear();
    calculate.forget();
  }

  // What a cell, or its gradient, was before; undefined where nothing was set.
  const before = (name, kind, offset) => recorded.get(name)?.[kind]?.[offset];

  return { set, reset, before, changed: () => recorded.size > 0 };
}
