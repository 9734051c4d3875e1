"""`numtx gradcheck MODULE:OBJECT` as people meet it."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
import terminal

CODE = """
import numpy as np
from numtx import BackwardPass

X, W = np.random.default_rng(0).standard_normal((2, 3, 4)), np.ones((4, 5))

def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)

def softmax_backward(d, x):
    w = softmax(x)
    return w * (d - (w * d).sum(-1, keepdims=True))

def softmax_no_dot(d, x):
    return softmax(x) * d

def product(x, w):
    return x @ w, (x, w)

def product_back(d, kept):
    x, w = kept
    return d @ w.T, np.einsum("btd,btf->df", x, d)

def right(): return softmax, softmax_backward, X
def wrong(): return softmax, softmax_no_dot, X
def a_dict(): return {"forward": product, "backward": product_back, "inputs": {"a": X, "b": W}}
def a_pass(): return BackwardPass(product, product_back, (X, W), ("left", "right"))
def by_name(): return product, lambda d, k: dict(zip("wx", product_back(d, k)[::-1])), (X, W)
def some(): return product, lambda d, k: (None, product_back(d, k)[1]), (X, W)
ZERO = np.array([0.0, 1.0, -1.0])
def relu(): return (lambda x: np.maximum(x, 0), lambda d, x: d * (x > 0), ZERO)

class Layer:
    inputs = [X]
    def forward(self, x):
        self.x = x
        return x**3
    def backward(self, d):
        return 3 * d * self.x**2

class Static:
    forward, backward = staticmethod(product), staticmethod(product_back)

def number(): return 3
def raises(): raise KeyError("no data")
def bad_forward(): return (lambda x: x @ x), softmax_backward, X
def bad_backward(): return softmax, (lambda d, x: d @ d), X
def fewer(): return product, lambda d, k: product_back(d, k)[:1], (X, W)
def shape(): return product, lambda d, k: (product_back(d, k)[0], np.ones((5, 4))), (X, W)
def batch(): return softmax, lambda d, x: softmax_backward(d, x)[None], X
def words(): return softmax, lambda d, x: "no", X
def text(): return (lambda x: "no"), softmax_backward, X
def random(): return (lambda x: x * np.random.rand()), softmax_backward, X
def random_back(): return softmax, (lambda d, x: np.random.rand(*x.shape)), X
def single(): return (lambda x: x.astype(np.float32)), softmax_backward, X
def whole(): return softmax, softmax_backward, np.arange(3)
def nothing(): return softmax, softmax_backward, None

def in_place():
    def forward(x):
        x *= 2.0
        return x
    return forward, softmax_backward, X

def in_place_back():
    def backward(d, x):
        x -= 1.0
        return d
    return softmax, backward, X
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "their_ops.py").write_text(textwrap.dedent(CODE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    yield
    __import__("sys").modules.pop("their_ops", None)


def run(capsys, *args: str) -> tuple[int, str, str]:
    return terminal.run(capsys, "gradcheck", *args)


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["right"], "x"),
        (["a_dict"], "a b"),
        (["a_pass"], "left right"),
        (["by_name"], "x w"),
        (["Layer"], "x"),
        (["Layer", "--shapes", "[[2,5]]"], "x"),
        (["Static", "--shapes", "[[2,3,4],[4,5]]"], "x w"),
        (["softmax", "--shapes", "[[2,3]]"], "x"),
        (["product", "--shapes", "[[1,2,4],[4,3]]"], "x w"),
        (["product", "--inputs", "made.npz", "--backward", "product_back"], "x w"),
    ],
)
def test_right_ones_pass(capsys, args, names):
    g = np.random.default_rng(0)
    np.savez("made.npz", x=g.standard_normal((2, 3, 4)), w=g.standard_normal((4, 2)))
    code, out, err = run(capsys, f"their_ops:{args[0]}", *args[1:], "--lang", "en")
    assert (code, err) == (0, "")
    count = len(names.split())
    assert out.splitlines()[-1] == f"ok: {count} gradients"
    table = out.splitlines()[3 : 3 + count]
    assert [line.split()[0] for line in table] == names.split()
    assert "cause" not in out and "WRONG" not in out


@pytest.mark.parametrize("place", ["their_ops:wrong", "./their_ops.py:wrong"])
def test_a_wrong_one_is_named_with_its_cells(capsys, place):
    code, out, _ = run(capsys, place, "--lang", "en")
    assert code == 1 and out.splitlines()[-1] == "wrong: the gradient of x"
    assert "cause: backward of the softmax (without the dot product with the weights)" in out
    assert len([line for line in out.splitlines() if line.startswith("[")]) == 5
    code, out, _ = run(capsys, place, "--lang", "zh")
    assert code == 1 and "原因：softmax 的反向（缺少与权重的点积）" in out
    assert out.splitlines()[-1] == "错：x 的梯度"
    code, out, _ = run(capsys, "their_ops:softmax", "--shapes", "[[2,3]]", "--backward",
                       "softmax_no_dot")  # fmt: skip
    assert code == 1 and "without the dot product" in out and "缺少与权重的点积" in out


def test_as_json(capsys):
    code, out, _ = run(capsys, "their_ops:wrong", "--json")
    found = json.loads(out)
    [one] = found["gradients"]
    assert (code, found["ok"], one["name"], one["ok"]) == (1, False, "x", False)
    assert one["causes"][0]["en"].endswith("(without the dot product with the weights)")
    assert len(one["worst"]) == 5 and len(one["worst"][0]["cell"]) == 3
    code, out, _ = run(capsys, "--operation", "norm_rms", "--json")
    found = json.loads(out)
    assert (code, found["ok"], len(found["gradients"])) == (0, True, 3)


def test_kinks_and_what_has_no_gradient_are_said(capsys):
    code, out, _ = run(capsys, "their_ops:relu", "--lang", "en")
    assert code == 0 and "x: 1 cells lie where there is no slope" in out
    code, out, _ = run(capsys, "their_ops:some")
    assert code == 0 and "x: no gradient is given; not compared" in out and "x：没有给出梯度" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothere"], "module 'their_ops' has no 'nothere'"),
        (["number"], "their_ops:number gives int; it should be a function without arguments"),
        (["X"], "their_ops:X gives ndarray; it should be"),
        (["raises"], "their_ops:raises raises KeyError: 'no data'"),
        (["softmax"], "their_ops:softmax takes arguments (x): is it a forward pass?"),
        (["Static"], "which inputs? --shapes"),
        (["nothing"], "which inputs? --shapes"),
        (["bad_forward"], "forward raises ValueError"),
        (["bad_backward"], "backward raises ValueError"),
        (["fewer"], "backward gives 1 gradients; there are 2 inputs (x, w)"),
        (["shape"], "the gradient of w has shape (5, 4); it should be (4, 5) (transposed)"),
        (["batch"], "it should be (2, 3, 4) (not summed over the axes before)"),
        (["words"], "the gradient of x is no array of numbers"),
        (["text"], "forward returns str; it should be an array"),
        (["random"], "forward gives other numbers each time"),
        (["random_back"], "backward gives other numbers each time"),
        (["single"], "forward gives float32 where its inputs are float64"),
        (["whole"], "no input is an array of floating numbers"),
        (["in_place"], "forward changes its input x in place"),
        (["in_place_back"], "backward changes the input x in place"),
        (["right", "--shapes", "[2,3]"], "a list of shapes is needed, [[2,3,8],[8],[8]]"),
        (["right", "--shapes", "[[2,3]"], "--shapes"),
        (["right", "--inputs", "none.npz"], "none.npz"),
        (["right", "--inputs", "a.npz", "--shapes", "[[2]]"], "both --inputs and --shapes"),
        (["right", "--stage", "*"], "their_ops:right is no model; leave out stage"),
        (["softmax", "--backward", "no", "--shapes", "[[2]]"], "module 'their_ops' has no 'no'"),
        (["softmax", "--backward", "softmax_no_dot"], "which inputs? --shapes"),
    ],
)
def test_bad_input_is_one_line(capsys, args, message):
    code, out, err = run(capsys, f"their_ops:{args[0]}", *args[1:])
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1, err


def test_other_ways_in_lead_to_the_right_one(capsys):
    code, _, err = run(capsys, "--operation", "their_ops:norm")
    assert code == 2 and "numtx gradcheck their_ops:norm" in err
    code, _, err = run(capsys, "weather", "--shapes", "[[2]]")
    assert code == 2 and "--shapes is for a backward pass of your own; give MODULE:OBJECT" in err


TORCH = """
import torch

class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x) @ w
    @staticmethod
    def backward(ctx, d):
        x, w = ctx.saved_tensors
        dx = (d @ w.T) * (1.0 - torch.tanh(x) ** 2)
        return FACTOR * dx, torch.tanh(x).T @ d

FACTOR = 1.0

def pair(): return torch.sin, lambda d, x: d * torch.cos(x), torch.randn(2, 3)
"""


def test_functions_of_torch(capsys, tmp_path):
    pytest.importorskip("torch")
    for factor, code in ((1.0, 0), (2.0, 1)):
        name = f"their_torch_{code}"
        (tmp_path / f"{name}.py").write_text(TORCH.replace("FACTOR = 1.0", f"FACTOR = {factor}"))
        args = (f"{name}:Function", "--shapes", "[[3,4],[4,5]]", "--lang", "en")
        found, out, err = run(capsys, *args)
        assert (found, err) == (code, "")
        assert ("every number is 2 times" in out) == bool(code)
        assert run(capsys, f"{name}:pair")[0] == 0
    code, _, err = run(capsys, f"{name}:Function")
    assert code == 2 and "which inputs?" in err
