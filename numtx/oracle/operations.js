"use strict";

// Every operation of the catalogue, function by function as in oracle/operations.py: from what is
// read, the cells of a row, or one cell.

function operationsOf(data, array, place, { plan, starts, axesOf }) {
  // ---- how a formula reads: `r` is a stage with an index (by row without the last axis)

  const shape = (r, k) => array(r.stage.inputs[k]).shape;
  const read = (cells, offset, by) =>
    new Num(Number(cells.flat[offset]), by.map((x) => [x, 0]), (show) => show(Number(cells.flat[offset])), 9, [cells.name, offset]);
  const at = (r, k, index, ...by) => {
    const cells = array(r.stage.inputs[k]);
    return read(cells, place(cells, index), by);
  };
  const flat = (r, k, offset) => read(array(r.stage.inputs[k]), offset, []);
  const valueAt = (name, index) => {
    const cells = array(name);
    return cells.flat[place(cells, index)];
  };
  const row = (r, k) => [...Array(shape(r, k).at(-1)).keys()].map((i) => at(r, k, [...r.index, i]));

  // ---- the formulas

  function angleOf(r, number, pair, width) {
    const { base, turns } = r.attributes;
    if (turns) return named("angle", held(number.times(constant(...turns[pair]))));
    const power = constant(base ** ((2 * pair) / width), `${base}^(${2 * pair} / ${width})`);
    return named("angle", held(number.over(power)));
  }

  function powersOf(r) {
    const cells = row(r, 0);
    const every = r.stage.inputs.length > 1 ? [...cells, at(r, 1, [r.index[1]])] : cells;
    const top = named("largest", largest(every));
    return [cells, top, named("total", total(every.map((x) => exp(x.minus(top)))))];
  }

  const activations = {
    relu: (x) => writtenAs(choose(x.value > 0, x, () => constant(0, "0", [x])), () => "max(x, 0)"),
    gelu: (x) => x.over(2).times(erfc(x.negative().over(sqrt(constant(2))))),
    gelu_tanh: (x) => {
      const inner = x.plus(square(x).times(x).times(0.044715));
      return x.over(2).times(tanh(inner.times(sqrt(constant(2 / Math.PI, "2 / pi")))).plus(1));
    },
    gelu_sigmoid: (x) => x.over(exp(x.times(-1.702)).plus(1)),
    silu: (x) => x.over(exp(x.negative()).plus(1)),
  };

  const reduced = (r, divided) => {
    const cells = [...array(r.stage.inputs[0]).flat.keys()];
    const labels = cells.map((k) => flat(r, 1, k));
    const losses = cells.map((k) => flat(r, 0, k));
    const counted = losses.filter((_, k) => labels[k].value >= 0);
    const by = [...losses, ...labels];
    return counted.length ? same(divided ? total(counted).over(counted.length) : total(counted), by) : constant(0, null, by);
  };

  const operations = {
    given: (r) => constant(valueAt(r.stage.name, r.index)),

    lookup(r) {
      const number = at(r, 0, r.index.slice(0, 2));
      const column = r.index[2];
      if (r.stage.inputs.length === 1) {
        const half = data.sizes.d / 2, halves = r.attributes.layout === "half";
        const angle = angleOf(r, number, halves ? column % half : Math.floor(column / 2), data.sizes.d);
        return choose(halves ? column >= half : column % 2, () => cosine(angle), () => sine(angle));
      }
      const where = [number.value + (r.attributes.offset || 0), column];
      const entry = () => at(r, 1, where, number);
      if (!("valid" in r.attributes)) return entry();
      const real = valueAt(r.attributes.valid, r.index.slice(0, 2));
      const kept = real || Math.abs(valueAt(r.stage.inputs[1], where)) <= r.attributes.limit;
      return choose(kept, entry, () => constant(0, null, [number]));
    },

    contract(r) {
      const walk = plan(r.stage);
      const first = starts(walk, r.index);
      if (!walk.operands[1]) return flat(r, 0, first[0]);
      const terms = walk.terms.map(([i, j]) => {
        const x = flat(r, 0, i + first[0]);
        const y = flat(r, 1, j + first[1]);
        if (r.attributes.selective && x.value === 0 && !Number.isFinite(y.value)) {
          Object.assign(y, { value: 0, text: (show) => show(0) }); // takes nothing
        }
        return x.times(y);
      });
      if (walk.operands[2]) terms.push(flat(r, 2, first[2]));
      return total(terms);
    },

    add: (r) => total(r.stage.inputs.map((_, k) => at(r, k, r.index))),

    multiply: (r) => at(r, 0, r.index).times(at(r, 1, r.index)),

    scale(r) {
      const { root, factor, longer } = r.attributes;
      const x = at(r, 0, r.index);
      if (!Number.isFinite(root)) return x.times(constant(factor));
      const scaled = x.over(sqrt(constant(root)));
      return Number.isFinite(longer) ? scaled.times(constant(longer)) : scaled;
    },

    cap(r) {
      const cap = constant(r.attributes.cap);
      return tanh(at(r, 0, r.index).over(cap)).times(cap);
    },

    distance(r) {
      const [batch, head, query, key] = r.index;
      const [here, there] = [at(r, 0, [batch, query]), at(r, 1, [batch, key])];
      const [p, q] = [here.value, there.value];
      const size = constant(Math.abs(p - q), `abs(${p} - ${q})`, [here, there]);
      let n = 1;
      while (2 * n <= r.attributes.heads) n *= 2;
      const power = head < n ? (-8 * (head + 1)) / n : (-4 * (2 * (head - n) + 1)) / n;
      const slope = constant(2 ** power, `2^${power}`);
      return size.times(slope).negative();
    },

    allowed(r) {
      const [batch, , query, key] = r.index;
      const real = at(r, 0, [batch, key]);
      const here = query + shape(r, 0)[1] - array(r.stage.name).shape.at(-2);
      const { causal, window: reach } = r.attributes;
      const rules = [real.value ? "1" : "0"];
      let seen = Boolean(real.value);
      if (causal) {
        seen = seen && key <= here;
        rules.push(`${key} <= ${here}`);
      }
      if (reach !== null) {
        const [p, q] = [here, key].map((i) => valueAt(r.attributes.positions, [batch, i]));
        seen = seen && Math.abs(p - q) < reach;
        rules.push(`abs(${p} - ${q}) < ${reach}`);
      }
      const { chunk, positions } = r.attributes;
      if (chunk !== null) {
        const [p, q] = [here, key].map((i) => valueAt(positions, [batch, i]));
        seen = seen && Math.floor(p / chunk) === Math.floor(q / chunk);
        rules.push(`${p} // ${chunk} == ${q} // ${chunk}`);
      }
      if (r.attributes.documents) {
        const of = [query, key].map((i, k) => valueAt(r.attributes.documents[k], [batch, i]));
        seen = seen && of[0] === of[1];
        rules.push(`${of[0]} == ${of[1]}`);
      }
      return new Num(seen, [[real, 0]], () => rules.join(" and "));
    },

    mask: (r) => choose(at(r, 1, r.index), at(r, 0, r.index), constant(-Infinity)),

    softmax(r) {
      const [cells, top, sum] = powersOf(r);
      const nothing = constant(0, null, cells);
      return cells.map((x) => choose(top.value === -Infinity, nothing, () => exp(x.minus(top)).over(sum)));
    },

    log_softmax(r) {
      const [cells, top, sum] = powersOf(r);
      const logarithm = log(sum);
      return cells.map((x) => x.minus(top).minus(logarithm));
    },

    norm(r) {
      let cells = row(r, 0);
      let every = cells;
      let first = 0; // place of the row in the gain
      if (r.attributes.over === "projection") {
        const [batch, head, token] = r.index;
        const heads = [...Array(shape(r, 0)[1]).keys()];
        every = heads.flatMap((h) => cells.map((_, j) => at(r, 0, [batch, h, token, j])));
        first = head * cells.length;
      }
      if (r.attributes.centred) {
        const mean = named("mean", total(cells).over(cells.length));
        cells = every = cells.map((x) => x.minus(mean));
      }
      const variance = named("variance", total(every.map(square)).over(every.length));
      const deviation = named("deviation", sqrt(variance.plus(constant(r.attributes.epsilon))));
      const inputs = r.stage.inputs.length;
      return cells.map((x, j) => {
        let y = x.over(deviation);
        if (inputs > 1) {
          const gain = at(r, 1, [first + j]);
          y = y.times("offset" in r.attributes ? gain.plus(constant(r.attributes.offset)) : gain);
        }
        return inputs > 2 ? total([y, at(r, 2, [j])]) : y;
      });
    },

    activation: (r) => activations[r.attributes.kind](named("x", at(r, 0, r.index))),

    rotate(r) {
      const cells = row(r, 0);
      const { width, layout, lengthening = 1 } = r.attributes;
      const position = at(r, 1, [r.index[0], r.index.at(-1)]);
      const found = [...cells];
      for (let pair = 0; pair < width / 2; pair++) {
        const [i, j] = layout === "half" ? [pair, pair + width / 2] : [2 * pair, 2 * pair + 1];
        const angle = angleOf(r, position, pair, width);
        let [c, s] = [cosine(angle), sine(angle)];
        if (lengthening !== 1) [c, s] = [c, s].map((x) => x.times(constant(lengthening)));
        found[i] = cells[i].times(c).minus(cells[j].times(s));
        found[j] = cells[i].times(s).plus(cells[j].times(c));
      }
      return found;
    },

    bucket(r) {
      const [batch, head, query, key] = r.index;
      const { count, farthest, both } = r.attributes;
      const [here, there] = [[1, query], [2, key]].map(([k, i]) => valueAt(r.stage.inputs[k], [batch, i]));
      const half = both ? Math.floor(count / 2) : count;
      const exact = Math.floor(half / 2);
      const away = both ? Math.abs(there - here) : Math.max(here - there, 0);
      let bucket = Math.min(away, exact);
      for (let k = 1; k < half - exact; k++) {
        bucket += away >= exact * (farthest / exact) ** (k / (half - exact)) * (1 - 1e-12) ? 1 : 0;
      }
      if (both && there > here) bucket += half;
      return at(r, 0, [bucket, head]);
    },

    grow(r) {
      const { length, rate } = r.attributes;
      const position = valueAt(r.stage.inputs[1], [r.index[0], r.index.at(-2)]);
      const steps = Math.floor((position + 1) / length);
      const grown = log(constant(1 + steps, `(1 + ${steps})`)).times(constant(rate));
      return at(r, 0, r.index).times(named("factor", grown.plus(constant(1))));
    },

    append(r) {
      const where = [...r.index];
      const axis = where.length - (where.length === 2 || r.attributes.along === "width" ? 1 : 2);
      const back = axis - where.length;
      let k = 0;
      while (k + 1 < r.stage.inputs.length && where[axis] >= shape(r, k).at(back)) {
        where[axis] -= shape(r, k).at(back);
        k += 1;
      }
      if (shape(r, k).length < where.length) where.splice(1, 1);
      return at(r, k, where);
    },

    last(r) {
      const [batch, , j] = r.index;
      const given = r.stage.inputs.length > 1;
      return at(r, 0, [batch, given ? valueAt(r.stage.inputs[1], [batch]) : shape(r, 0)[1] - 1, j]);
    },

    first(r) {
      const [batch, , j] = r.index;
      const real = [...Array(shape(r, 1)[1]).keys()].findIndex((t) => valueAt(r.stage.inputs[1], [batch, t]));
      return at(r, 0, [batch, Math.max(real, 0), j]);
    },

    pick(r) {
      const label = at(r, 1, r.index);
      const { smoothing, words } = r.attributes;
      const target = (w) => constant(smoothing / words + (w === label.value ? 1 - smoothing : 0));
      const loss = () =>
        smoothing
          ? total([...Array(words).keys()].map((w) => at(r, 0, [...r.index, w], label).times(target(w)))).negative()
          : at(r, 0, [...r.index, label.value], label).negative();
      return choose(label.value < 0, () => constant(0, null, [label]), loss);
    },

    mean: (r) => reduced(r, true),
    total: (r) => reduced(r, false),
    exp: (r) => exp(at(r, 0, r.index)),

    clamp(r) {
      const x = at(r, 0, r.index);
      const { low, high, shift } = r.attributes;
      let found = x;
      let text = (show) => x.text(show);
      if (high !== null) {
        found = choose(x.value > high, () => constant(high, null, [x]), found);
        const inner = text;
        text = (show) => `min(${inner(show)}, ${high})`;
      }
      if (low !== null) {
        found = choose(x.value < low, () => constant(low, null, [x]), found);
        const inner = text;
        text = (show) => `max(${inner(show)}, ${low})`;
      }
      found = writtenAs(found, text);
      return shift ? found.plus(constant(shift)) : found;
    },

    sigmoid: (r) => constant(1).over(exp(at(r, 0, r.index).negative()).plus(1)),

    choose(r) {
      const { count, groups, kept, best, single } = r.attributes;
      let cells = row(r, 0);
      if (r.stage.inputs.length > 1) cells = cells.map((x, e) => x.plus(at(r, 1, [e])));
      const own = (value) => (single ? Math.fround(value) : value);
      const rank = (scores, e) =>
        scores.filter((other, j) => other > scores[e] || (other === scores[e] && j < e)).length;
      let scores = cells.map((x) => own(x.value));
      if (best) {
        const size = scores.length / groups;
        const sums = [...Array(groups).keys()].map((g) => {
          const part = scores.slice(g * size, (g + 1) * size).sort((x, y) => y - x);
          return part.slice(0, best).reduce((sum, x) => own(sum + x), 0);
        });
        const inside = sums.map((_, g) => rank(sums, g) < kept);
        scores = scores.map((x, e) => (inside[Math.floor(e / size)] ? x : -Infinity));
      }
      const places = scores.map((_, e) => rank(scores, e));
      return [...Array(count).keys()].map((k) => {
        const chosen = places.indexOf(k);
        const pairs = (show) =>
          cells.flatMap((x, e) => (scores[e] === -Infinity ? [] : [`(-(${x.text(show)}), ${e})`]));
        const text = (show) => `sorted([${pairs(show).join(", ")}])[${k}][1]`;
        return new Num(chosen, cells.map((x) => [x, 0]), text);
      });
    },

    route(r) {
      const { how, room, factor } = r.attributes;
      let picked = row(r, 1).map((e) => at(r, 0, [...r.index, e.value], e));
      if (how === "softmax") {
        const top = named("largest", largest(picked));
        const sum = named("total", total(picked.map((x) => exp(x.minus(top)))));
        picked = picked.map((x) => exp(x.minus(top)).over(sum));
      } else if (how === "divided") {
        const sum = named("total", total(room ? [...picked, constant(room)] : picked));
        picked = picked.map((x) => x.over(sum));
      }
      return factor === 1 ? picked : picked.map((x) => x.times(constant(factor)));
    },

    expert(r) {
      const [left, result] = axesOf(r.stage);
      const where = Object.fromEntries(result[0].map((axis, i) => [axis, r.index[i]]));
      const chosen = at(r, 2, [where.b, where.t, where.m]);
      where.x = chosen.value;
      const summed = left[0].at(-1);
      const terms = [...Array(shape(r, 0).at(-1)).keys()].map((i) => {
        where[summed] = i;
        const [x, w] = [0, 1].map((k) => left[k].map((axis) => where[axis]));
        return at(r, 0, x).times(at(r, 1, w, chosen));
      });
      if (r.stage.inputs.length > 3) terms.push(at(r, 3, [where.x, r.index.at(-1)], chosen));
      return total(terms);
    },

    sum(r) {
      const [batch, ...rest] = r.index;
      return total([...Array(shape(r, 0)[1]).keys()].map((k) => at(r, 0, [batch, k, ...rest])));
    },
  };

  let kept = { key: "", numbers: [] };

  // The cells of the row of a cell; of an operation that is not by row, the cell alone.
  function rowOf(stage, index) {
    const where = stage.byRow ? index.slice(0, -1) : index;
    const key = `${stage.name} ${where}`;
    if (kept.key !== key) {
      const found = operations[stage.operation]({ stage, index: where, attributes: stage.attributes });
      kept = { key, numbers: Array.isArray(found) ? found : [found] };
    }
    return kept.numbers;
  }

  // One cell of a stage, with all that it was made of.
  const numberAt = (stage, index) => rowOf(stage, index)[stage.byRow ? index.at(-1) : 0];

  const forget = () => (kept = { key: "", numbers: [] });

  return { numberAt, rowOf, forget };
}
