"""What the modules of a user's own PyTorch model give, by the names of stages."""

from __future__ import annotations

import numpy as np
import pytest

from numtx import Batch, Config, initialise
from numtx import record as run_of
from numtx.compare.compare import compare
from numtx.compare.sides import Side, read_side, side_of

torch = pytest.importorskip("torch")

from numtx.adapters.torch import record  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
CONFIG = Config(
    model="decoder-only", width=8, decoder_layers=1, heads=2, hidden=6, vocabulary=11,
    positions=None, norm_place="pre", biases=(),
)  # fmt: skip
IDS = np.array([[1, 2, 3], [4, 5, 6]])
OWN, FORWARD = "decoder.0.self_attention", "decoder.0.feed_forward"
PARAMETERS = {
    "table.weight": "decoder.embedding", "norm.weight": f"{OWN}.norm.gain",
    **{f"{x}.weight": f"{OWN}.w_{x}" for x in "qkvo"}, "norm2.weight": f"{FORWARD}.norm.gain",
    "up.weight": f"{FORWARD}.w_in", "down.weight": f"{FORWARD}.w_out",
    "last.weight": "decoder.norm.gain", "out.weight": "output.w",
}  # fmt: skip
MODULES = {
    "table": "decoder.embedding", "norm": f"{OWN}.norm", "q": f"{OWN}.queries",
    "v": f"{OWN}.values", "attend": (f"{OWN}.context", f"{OWN}.weights"), "o": f"{OWN}.output",
    "down": f"{FORWARD}.output", "last": "decoder.output", "out": "logits",
}  # fmt: skip


class Attend(torch.nn.Module):
    def forward(self, q, k, v):
        q, k, v = (x.unflatten(-1, (2, 4)).transpose(1, 2) for x in (q, k, v))
        hidden = torch.ones(q.shape[2], q.shape[2]).triu(1).bool()
        scores = (q @ k.transpose(2, 3) / 2).masked_fill(hidden, -torch.inf)
        weights = scores.softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2), weights


class Own(torch.nn.Module):
    def __init__(self, parameters):
        super().__init__()
        self.table = torch.nn.Embedding(11, 8)
        self.norm, self.norm2, self.last = (torch.nn.LayerNorm(8, CONFIG.epsilon) for _ in "123")
        self.attend = Attend()
        for name, (a, b) in {
            "q": (8, 8), "k": (8, 8), "v": (8, 8), "o": (8, 8), "up": (8, 6), "down": (6, 8),
            "out": (8, 11), "unused": (2, 2),
        }.items():  # fmt: skip
            setattr(self, name, torch.nn.Linear(a, b, bias=False))
        self.double()
        with torch.no_grad():
            for name, own in PARAMETERS.items():
                x = torch.as_tensor(parameters[own])
                turned = x.ndim == 2 and name != "table.weight"
                self.get_parameter(name).copy_(x.T if turned else x)

    def forward(self, ids, *, twice=False):
        x = self.table(ids)
        y = self.norm(x)
        x = x + self.o(self.attend(self.q(y), self.k(y), self.v(y))[0])
        x = x + self.down(torch.relu(self.up(self.norm2(x))))
        return self.out(self.last(self.last(x) if twice else x))


@pytest.fixture
def ours():
    noise = np.random.default_rng(3)
    parameters = {
        name: x + 0.3 * noise.standard_normal(x.shape) for name, x in initialise(CONFIG, 1).items()
    }
    return run_of(CONFIG, parameters, Batch(IDS, labels=IDS))


@pytest.fixture
def model(ours):
    return Own(ours.parameters)


def loss(logits):
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.as_tensor(IDS).flatten())


def test_values_and_gradients_are_those_of_numtx(ours, model, tmp_path):
    file = tmp_path / "theirs.npz"
    names = {**MODULES, **{theirs: f"parameters/{own}" for theirs, own in PARAMETERS.items()}}
    arrays = record(model, names, torch.as_tensor(IDS), loss=loss, path=file)
    assert len(arrays) == 2 * (len(MODULES) + 1 + len(PARAMETERS))
    for theirs in (Side("theirs", arrays, None), read_side(file)):
        found = compare(side_of(ours, "ours"), theirs)
        assert found.equal and not found.unknown
        assert len(found.values) == len(found.gradients) - len(PARAMETERS) == len(MODULES) + 1
        assert len(found.parameters) == len(PARAMETERS)
    assert all(x.grad is None for x in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_without_a_loss_there_are_values_alone(ours, model):
    arrays = record(model, {"o": f"{OWN}.output"}, ids=torch.as_tensor(IDS))
    assert [*arrays] == [f"{OWN}.output"]
    np.testing.assert_allclose(arrays[f"{OWN}.output"], ours[f"{OWN}.output"], atol=1e-12)


def test_what_is_recorded_is_what_the_module_gave(model):
    """Though the model goes on to change it in place."""
    model.attend.register_forward_hook(lambda module, args, result: result[0].mul_(0.0))
    before = record(model, {"o": "a", "v": "b"}, torch.as_tensor(IDS))
    assert before["b"].any() and not before["a"].any()


def test_half_types_keep_their_numbers(model):
    arrays = record(model.bfloat16(), {"v": "v"}, torch.as_tensor(IDS))
    assert arrays["v"].dtype == np.float32
    assert np.array_equal(arrays["v"], torch.as_tensor(arrays["v"]).bfloat16().float().numpy())


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        ({"queries": "a"}, {}, "the model has no module 'queries'"),
        ({"unused": "a"}, {}, "module 'unused': a was not recorded: the model did not call it"),
        ({"q": (None, "a")}, {}, "module 'q': a was not recorded"),
        ({"last": "a"}, {"twice": True}, "module 'last' was called twice"),
        ({"q": "a", "k": "a"}, {}, "'a' is named twice"),
    ],
)
def test_what_cannot_be_recorded_is_said_in_a_line(model, names, options, says):
    with pytest.raises(ValueError, match=f"^{says}[^\n]*$"):
        record(model, names, torch.as_tensor(IDS), **options)
    assert not any(module._forward_hooks for module in model.modules())
