"use strict";

// One evaluator an operation of the catalogue. Each takes a stage and the index of a cell, and gives
//   value  the cell, recomputed from the recorded inputs
//   reads  the cells that it read: [source, offset, d(value)/d(it)]
//   steps  (show) -> [[name, expression, value], ...]; the last one, without a name, is the cell
// Expressions are plain arithmetic: + - · / ^, max, exp, ln, sqrt, sin, cos, tanh, erfc.

function evaluatorsOf(data, array, place) {
  const { plan, starts } = contractions(data, array);

  // A number inside an expression: negative ones in brackets.
  const inner = (show) => (x) => (x < 0 ? `(${show(x)})` : show(x));
  const join = (terms, show) => terms.map(inner(show)).join(" + ");
  const total = (numbers) => numbers.reduce((sum, x) => sum + x, 0);

  // A cell whose arithmetic is one expression.
  function simple(value, reads, text) {
    return { value, reads, steps: (show) => [["", text(inner(show)), value]] };
  }

  // A cell that is a number as it stands.
  const copy = (value, reads) => ({ value, reads, steps: (show) => [["", show(value), value]] });

  // Where the row of a cell begins, and its numbers.
  function row(cells, index) {
    const start = place(cells, [...index.slice(0, -1), 0]);
    return [start, cells.flat.slice(start, start + cells.shape[cells.shape.length - 1])];
  }

  // 2/sqrt(pi) * the integral of exp(-t^2) from x on: a series of positive terms near 0, a
  // continued fraction further out.
  function erfc(x) {
    if (x < 0) return 2 - erfc(-x);
    if (x > 2.5) {
      let fraction = x;
      for (let n = 80; n > 0; n--) fraction = x + n / 2 / fraction;
      return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
    }
    let term = x;
    let sum = x;
    for (let n = 1; term > sum * 1e-18; n++) sum += term *= (2 * x * x) / (2 * n + 1);
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }

  return {
    given(stage, index) {
      const cells = array(stage.name);
      const x = cells.flat[place(cells, index)];
      return copy(x, []);
    },

    contract(stage, index) {
      const walk = plan(stage);
      const first = starts(walk, index);
      const [a, b, bias] = walk.operands;
      if (!b) {
        const x = a.flat[first[0]];
        return copy(x, [[a.name, first[0], 1]]);
      }
      const reads = [];
      const pairs = walk.terms.map(([i, j]) => {
        const x = a.flat[i + first[0]];
        let y = b.flat[j + first[1]];
        if (x === 0 && stage.leaf === "context" && !Number.isFinite(y)) y = 0; // takes nothing
        reads.push([a.name, i + first[0], y], [b.name, j + first[1], x]);
        return [x, y];
      });
      let value = total(pairs.map(([x, y]) => x * y));
      const extra = bias && bias.flat[first[2]];
      if (bias) {
        value += extra;
        reads.push([bias.name, first[2], 1]);
      }
      return simple(value, reads, (n) => {
        const text = pairs.map(([x, y]) => `${n(x)}·${n(y)}`).join(" + ");
        return bias ? `${text} + ${n(extra)}` : text;
      });
    },

    lookup(stage, index) {
      const ids = array(stage.inputs[0]);
      const at = place(ids, index.slice(0, 2));
      const id = ids.flat[at];
      const reads = [[ids.name, at, 0]];
      if (stage.inputs.length === 1) {
        const { base } = stage.attributes;
        const [pair, turn] = [Math.floor(index[2] / 2), index[2] % 2 ? "cos" : "sin"];
        const angle = id / base ** ((2 * pair) / data.sizes.d);
        const value = Math[turn](angle);
        const text = `${id} / ${base}^(${2 * pair} / ${data.sizes.d})`;
        return { value, reads, steps: () => [["angle", text, angle], ["", `${turn}(angle)`, value]] };
      }
      const table = array(stage.inputs[1]);
      const offset = place(table, [id + (stage.attributes.offset || 0), index[2]]);
      const x = table.flat[offset];
      if (stage.attributes.valid && !(Math.abs(x) <= data.junk)) {
        const valid = array(stage.attributes.valid);
        if (!valid.flat[place(valid, index.slice(0, 2))]) return copy(0, reads);
      }
      return copy(x, [...reads, [table.name, offset, 1]]);
    },

    add(stage, index) {
      const sources = stage.inputs.map(array);
      const reads = sources.map((cells) => [cells.name, place(cells, index), 1]);
      const terms = sources.map((cells, k) => cells.flat[reads[k][1]]);
      if (terms.length === 1) return copy(terms[0], reads);
      return simple(total(terms), reads, (n) => terms.map(n).join(" + "));
    },

    multiply(stage, index) {
      const [a, b] = stage.inputs.map(array);
      const [i, j] = [place(a, index), place(b, index)];
      const [x, y] = [a.flat[i], b.flat[j]];
      return simple(x * y, [[a.name, i, y], [b.name, j, x]], (n) => `${n(x)}·${n(y)}`);
    },

    scale(stage, index) {
      const { factor } = stage.attributes;
      const cells = array(stage.inputs[0]);
      const at = place(cells, index);
      const x = cells.flat[at];
      return simple(factor * x, [[cells.name, at, factor]], (n) => `${n(factor)}·${n(x)}`);
    },

    allowed(stage, index) {
      const valid = array(stage.inputs[0]);
      const [batch, , query, key] = index;
      const at = place(valid, [batch, key]);
      const lead = valid.shape[1] - array(stage.name).shape[2];
      const { causal, window: reach } = stage.attributes;
      const rules = [valid.flat[at] ? "1" : "0"];
      let seen = Boolean(valid.flat[at]);
      if (causal) {
        rules.push(`${key} <= ${query + lead}`);
        seen = seen && key <= query + lead;
      }
      if (reach !== null) {
        const positions = array(stage.attributes.positions);
        const [here, there] = [query + lead, key].map((i) => positions.flat[place(positions, [batch, i])]);
        rules.push(`abs(${here} - ${there}) < ${reach}`);
        seen = seen && Math.abs(here - there) < reach;
      }
      return simple(seen, [[valid.name, at, 0]], () => rules.join(" and "));
    },

    mask(stage, index) {
      const [scores, mask] = stage.inputs.map(array);
      const [i, j] = [place(scores, index), place(mask, index)];
      const seen = Boolean(mask.flat[j]);
      const value = seen ? scores.flat[i] : -Infinity;
      const reads = [[scores.name, i, seen ? 1 : 0], [mask.name, j, 0]];
      return copy(value, reads);
    },

    softmax(stage, index) {
      const cells = array(stage.inputs[0]);
      const [start, numbers] = row(cells, index);
      const largest = Math.max(...numbers);
      if (largest === -Infinity) {
        const nothing = numbers.map((_, i) => [cells.name, start + i, 0]);
        return copy(0, nothing);
      }
      const powers = numbers.map((x) => Math.exp(x - largest));
      const sum = total(powers);
      const j = index[index.length - 1];
      const value = powers[j] / sum;
      const reads = numbers.map((_, i) => [
        cells.name, start + i, value * ((i === j ? 1 : 0) - powers[i] / sum),
      ]);
      const steps = (show) => [
        ["max", `max(${numbers.map(show).join(", ")})`, largest],
        ["sum", numbers.map((x) => `exp(${show(x)} - max)`).join(" + "), sum],
        ["", `exp(${show(numbers[j])} - max) / sum`, value],
      ];
      return { value, reads, steps };
    },

    log_softmax(stage, index) {
      const cells = array(stage.inputs[0]);
      const [start, numbers] = row(cells, index);
      const largest = Math.max(...numbers);
      const sum = total(numbers.map((x) => Math.exp(x - largest)));
      const j = index[index.length - 1];
      const value = numbers[j] - largest - Math.log(sum);
      const reads = numbers.map((x, i) => [
        cells.name, start + i, (i === j ? 1 : 0) - Math.exp(x - largest) / sum,
      ]);
      const steps = (show) => [
        ["max", `max(${numbers.map(show).join(", ")})`, largest],
        ["sum", numbers.map((x) => `exp(${show(x)} - max)`).join(" + "), sum],
        ["", `${show(numbers[j])} - max - ln(sum)`, value],
      ];
      return { value, reads, steps };
    },

    norm(stage, index) {
      const cells = array(stage.inputs[0]);
      const [start, numbers] = row(cells, index);
      const { epsilon, centred } = stage.attributes;
      const width = numbers.length;
      const j = index[index.length - 1];
      const mean = centred ? total(numbers) / width : 0;
      const away = numbers.map((x) => x - mean);
      const variance = total(away.map((x) => x * x)) / width;
      const deviation = Math.sqrt(variance + epsilon);
      const normal = away.map((x) => x / deviation);
      const [gain, bias] = stage.inputs.slice(1).map(array);
      const value = normal[j] * gain.flat[j] + (bias ? bias.flat[j] : 0);
      const reads = numbers.map((_, i) => {
        const through = (i === j ? 1 : 0) - (centred ? 1 / width : 0);
        return [cells.name, start + i, (gain.flat[j] / deviation) * (through - (normal[j] * normal[i]) / width)];
      });
      reads.push([gain.name, j, normal[j]]);
      if (bias) reads.push([bias.name, j, 1]);
      const steps = (show) => {
        const n = inner(show);
        const square = centred ? (x) => `(${show(x)} - mean)^2` : (x) => `${n(x)}^2`;
        const [spread, top] = centred
          ? ["variance", `(${show(numbers[j])} - mean)`]
          : ["mean_square", n(numbers[j])];
        const ending = bias ? ` + ${n(bias.flat[j])}` : "";
        return [
          ...(centred ? [["mean", `(${join(numbers, show)}) / ${width}`, mean]] : []),
          [spread, `(${numbers.map(square).join(" + ")}) / ${width}`, variance],
          ["", `${top} / sqrt(${spread} + ${show(epsilon)})·${n(gain.flat[j])}${ending}`, value],
        ];
      };
      return { value, reads, steps };
    },

    activation(stage, index) {
      const cells = array(stage.inputs[0]);
      const at = place(cells, index);
      const x = cells.flat[at];
      const made = (value, slope, text) => simple(value, [[cells.name, at, slope]], text);
      if (stage.attributes.kind === "relu") {
        return made(x > 0 ? x : 0, x > 0 ? 1 : 0, (n) => `max(0, ${n(x)})`);
      }
      if (stage.attributes.kind === "gelu") {
        const below = erfc(-x / Math.SQRT2) / 2;
        const slope = below + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
        return made(x * below, slope, (n) => `${n(x)}·erfc(-${n(x)} / sqrt(2)) / 2`);
      }
      if (stage.attributes.kind === "gelu_tanh") {
        const root = Math.sqrt(2 / Math.PI);
        const tanh = Math.tanh(root * (x + 0.044715 * x * x * x));
        const slope =
          (1 + tanh) / 2 + (x / 2) * (1 - tanh * tanh) * root * (1 + 3 * 0.044715 * x * x);
        const text = (n) => `${n(x)} / 2·(1 + tanh(sqrt(2 / pi)·(${n(x)} + 0.044715·${n(x)}^3)))`;
        return made((x / 2) * (1 + tanh), slope, text);
      }
      const sigmoid = 1 / (1 + Math.exp(-x));
      const slope = sigmoid * (1 + x * (1 - sigmoid));
      return made(x * sigmoid, slope, (n) => `${n(x)} / (1 + exp(-${n(x)}))`);
    },

    rotate(stage, index) {
      const { width, base, layout } = stage.attributes;
      const cells = array(stage.inputs[0]);
      const j = index[index.length - 1];
      const at = place(cells, index);
      const x = cells.flat[at];
      if (j >= width) return copy(x, [[cells.name, at, 1]]);
      const half = width / 2;
      const second = layout === "half" ? j >= half : j % 2 === 1;
      const pair = layout === "half" ? j % half : Math.floor(j / 2);
      const distance = (layout === "half" ? half : 1) * (second ? -1 : 1);
      const y = cells.flat[at + distance];
      const positions = array(stage.inputs[1]);
      const position = place(positions, [index[0], index[2]]);
      const p = positions.flat[position];
      const angle = p / base ** ((2 * pair) / width);
      const [cosine, sine] = [Math.cos(angle), second ? Math.sin(angle) : -Math.sin(angle)];
      const value = x * cosine + y * sine;
      const reads = [
        [cells.name, at, cosine], [cells.name, at + distance, sine], [positions.name, position, 0],
      ];
      const steps = (show) => [
        ["angle", `${p} / ${base}^(${2 * pair} / ${width})`, angle],
        ["", `${inner(show)(x)}·cos(angle) ${second ? "+" : "-"} ${inner(show)(y)}·sin(angle)`, value],
      ];
      return { value, reads, steps };
    },

    // What was kept of earlier steps, and after it what is new.
    append(stage, index) {
      const axis = index.length === 2 ? 1 : 2;
      const where = [...index];
      let [cells, added] = stage.inputs.map(array);
      if (added && where[axis] >= cells.shape[axis]) {
        where[axis] -= cells.shape[axis];
        cells = added;
      }
      const at = place(cells, where);
      return copy(cells.flat[at], [[cells.name, at, 1]]);
    },

    // The row of the last real token, where its place is given, or of the last column.
    last(stage, index) {
      const [cells, given] = stage.inputs.map(array);
      const row = given ? given.flat[index[0]] : cells.shape[1] - 1;
      const at = place(cells, [index[0], row, index[2]]);
      const x = cells.flat[at];
      return copy(x, [[cells.name, at, 1]]);
    },

    pick(stage, index) {
      const [logs, labels] = stage.inputs.map(array);
      const at = place(labels, index);
      const label = labels.flat[at];
      const read = [labels.name, at, 0];
      if (label < 0) return copy(0, [read]);
      const { smoothing, words } = stage.attributes;
      if (!smoothing) {
        const offset = place(logs, [...index, label]);
        const x = logs.flat[offset];
        return simple(-x, [[logs.name, offset, -1], read], (n) => `-${n(x)}`);
      }
      const terms = [...Array(words).keys()].map((word) => {
        const offset = place(logs, [...index, word]);
        const target = smoothing / words + (word === label ? 1 - smoothing : 0);
        return [offset, target, logs.flat[offset]];
      });
      const reads = terms.map(([offset, target]) => [logs.name, offset, -target]);
      const value = -total(terms.map(([, target, x]) => target * x));
      const text = (n) => `-(${terms.map(([, target, x]) => `${n(target)}·${n(x)}`).join(" + ")})`;
      return simple(value, [...reads, read], text);
    },

    mean(stage) {
      const [losses, labels] = stage.inputs.map(array);
      const terms = losses.flat.filter((_, i) => labels.flat[i] >= 0);
      const reads = losses.flat.map((_, i) => [
        losses.name, i, labels.flat[i] >= 0 ? 1 / terms.length : 0,
      ]);
      const text = (n) => `(${terms.map(n).join(" + ")}) / ${terms.length}`;
      return simple(total(terms) / terms.length, reads, text);
    },

    exp(stage, index) {
      const cells = array(stage.inputs[0]);
      const at = place(cells, index);
      const x = cells.flat[at];
      const value = Math.exp(x);
      return simple(value, [[cells.name, at, value]], (n) => `exp(${n(x)})`);
    },
  };
}
