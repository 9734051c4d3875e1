"use strict";

// A number that remembers what it was made of, as in oracle/number.py: its value, its parents each
// with d(number)/d(it), how it is written, and where it was read ([source, offset]).

class Num {
  constructor(value, parents, text, firmness = 9, key = null) {
    Object.assign(this, { value, parents, text, firmness, key });
  }

  // As an operand, in brackets where it would fall apart; a negative number that was read too.
  within(needed) {
    const apart = this.firmness < needed || (this.key && this.value < 0);
    return (show) => (apart ? `(${this.text(show)})` : this.text(show));
  }

  plus(other) {
    const o = lift(other);
    const text = (show) => `${this.text(show)} + ${o.within(2)(show)}`;
    return new Num(this.value + o.value, [[this, 1], [o, 1]], text, 1);
  }

  minus(other) {
    const o = lift(other);
    const text = (show) => `${this.text(show)} - ${o.within(2)(show)}`;
    return new Num(this.value - o.value, [[this, 1], [o, -1]], text, 1);
  }

  times(other) {
    const o = lift(other);
    const text = (show) => `${this.within(2)(show)}·${o.within(2)(show)}`;
    return new Num(this.value * o.value, [[this, o.value], [o, this.value]], text, 2);
  }

  over(other) {
    const o = lift(other);
    const value = this.value / o.value;
    const text = (show) => `${this.within(2)(show)} / ${o.within(3)(show)}`;
    return new Num(value, [[this, 1 / o.value], [o, -value / o.value]], text, 2);
  }

  negative() {
    return new Num(-this.value, [[this, -1]], (show) => `-(${this.text(show)})`, 2);
  }
}

// A number of the formula itself; `by` are numbers that led to it.
const constant = (value, text = null, by = []) =>
  new Num(value, by.map((x) => [x, 0]), text ? () => text : (show) => show(value));

const lift = (x) => (x instanceof Num ? x : constant(x, String(x)));

// ---- functions of one number, with their slopes

const calls = (name, f, slope) => (x) => {
  const value = f(x.value);
  return new Num(value, [[x, slope(x.value, value)]], (show) => `${name}(${x.text(show)})`);
};

// 2/sqrt(pi) * the integral of exp(-t^2) from x on: a series of positive terms near 0, a
// continued fraction where 1 less the series would lose digits.
function erfcOf(x) {
  if (x < 0) return 2 - erfcOf(-x);
  if (x > 0.75) {
    let fraction = x;
    for (let n = 400; n > 0; n--) fraction = x + n / 2 / fraction;
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
  }
  let term = x;
  let sum = x;
  for (let n = 1; term > sum * 1e-18; n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const exp = calls("exp", Math.exp, (x, y) => y);
const log = calls("ln", Math.log, (x) => 1 / x);
const sqrt = calls("sqrt", Math.sqrt, (x, y) => 0.5 / y);
const tanh = calls("tanh", Math.tanh, (x, y) => 1 - y * y);
const erfc = calls("erfc", erfcOf, (x) => (-2 / Math.sqrt(Math.PI)) * Math.exp(-x * x));
const cosine = calls("cos", Math.cos, (x) => -Math.sin(x));
const sine = calls("sin", Math.sin, (x) => Math.cos(x));

const square = (x) =>
  new Num(x.value * x.value, [[x, 2 * x.value]], (show) => `(${x.text(show)})^2`);

// Terms as they are written: without those of hidden scores, unless all are.
function listed(terms, joiner, needed) {
  const hidden = (x) => (x.key ? x.value === -Infinity : x.parents.length > 0 && hidden(x.parents[0][0]));
  return (show) => {
    const seen = terms.filter((x) => !hidden(x));
    return (seen.length ? seen : terms).map((x) => x.within(needed)(show)).join(joiner);
  };
}

function total(terms) {
  if (terms.length === 1) return terms[0];
  const value = terms.reduce((sum, x) => sum + x.value, 0);
  return new Num(value, terms.map((x) => [x, 1]), listed(terms, " + ", 2), 1);
}

// The largest of a row, as a constant: what it is subtracted from does not depend on it.
function largest(row) {
  const text = listed(row, ", ", 0);
  const value = Math.max(...row.map((x) => x.value));
  return new Num(value, row.map((x) => [x, 0]), (show) => `max(${text(show)})`);
}

// `yes` where the condition holds, else `no`; a function is called only where it is needed.
function choose(condition, yes, no) {
  const flag = condition instanceof Num ? condition.value : condition;
  const [chosen, left] = flag ? [yes, no] : [no, yes];
  const taken = typeof chosen === "function" ? chosen() : chosen;
  const others = [condition, left].filter((x) => x instanceof Num);
  return same(taken, others);
}

// A number, with others that led to it.
const same = (x, others) =>
  new Num(x.value, [[x, 1], ...others.map((y) => [y, 0])], x.text, x.firmness);

const writtenAs = (x, text) => new Num(x.value, [[x, 1]], text);

// A step of its own: written once, and called by its name in what follows.
const named = (name, x) => Object.assign(new Num(x.value, [[x, 1]], () => name), { step: name });

// A number that is held constant: an angle.
const held = (x) => new Num(x.value, [[x, 0]], x.text, x.firmness);

// ---- what follows from a number

// Numbers and all that they were made of, what was read first standing first.
function ordered(numbers) {
  const found = [];
  const seen = new Set();
  const visit = (x) => {
    if (seen.has(x)) return;
    seen.add(x);
    for (const [parent] of x.parents) visit(parent);
    found.push(x);
  };
  numbers.forEach(visit);
  return found;
}

// The cells that numbers were made of, each with d(the sum of weight times number)/d(it): the chain
// rule backwards.
function readsFrom(weighted) {
  const slopes = new Map(weighted);
  const found = new Map();
  const order = ordered([...slopes.keys()]);
  for (const x of [...order].reverse()) {
    const own = slopes.get(x) || 0;
    for (const [parent, slope] of x.parents) {
      const step = own === 0 || slope === 0 ? 0 : own * slope;
      slopes.set(parent, (slopes.get(parent) || 0) + step);
    }
  }
  for (const x of order) {
    if (!x.key) continue;
    const name = x.key.join(" ");
    found.set(name, [...x.key, (found.get(name)?.[2] || 0) + slopes.get(x)]);
  }
  return [...found.values()];
}

const readsOf = (number) => readsFrom([[number, 1]]);

// What a row of numbers was made of, for the chain rule from any of its cells: for each number, what
// was read first standing first, the places of its parents with their slopes; the places of the
// row; and where each cell was read.
function chainOf(numbers) {
  const order = ordered(numbers);
  const places = new Map(order.map((x, i) => [x, i]));
  const cells = new Map();
  order.forEach(({ key }, i) => {
    if (!key) return;
    const name = key.join(" ");
    if (!cells.has(name)) cells.set(name, new Set());
    cells.get(name).add(i);
  });
  const links = order.map((x) =>
    x.parents.filter(([, slope]) => slope !== 0).map(([parent, slope]) => [places.get(parent), slope]),
  );
  return { links, cells, ends: numbers.map((x) => places.get(x)) };
}

// d(each number of a row) / d(one cell): the chain rule forwards.
function slopesBy({ links, cells, ends }, source, offset) {
  const own = cells.get(`${source} ${offset}`);
  if (!own) return [];
  const slopes = new Float64Array(links.length);
  links.forEach((parents, i) => {
    let slope = own.has(i) ? 1 : 0;
    for (const [parent, step] of parents) if (slopes[parent]) slope += slopes[parent] * step;
    slopes[i] = slope;
  });
  return ends.map((i) => slopes[i]);
}

// The steps to a number: [name, expression, value]; the last, without a name, is the number.
function stepsOf(number, show) {
  const named = ordered([number]).filter((x) => x.step);
  const steps = named.map((x) => [x.step, x.parents[0][0].text(show), x.value]);
  return [...steps, ["", number.text(show), number.value]];
}
