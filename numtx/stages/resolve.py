"""From a configuration to the ordered graph of its stages. This alone knows the wiring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..config import Config
from ..parameters import parameter_shapes
from . import catalogue as c
from .block import block
from .dense import dense
from .experts import experts
from .formulas import formula_of
from .graph import Graph, Stage
from .head import head
from .latent import latent
from .leaf import Leaf
from .multi_head import multi_head
from .norms import norm_attributes

# The wiring of each kind of sublayer.
ATTENTIONS = {"multi-head": multi_head, "latent": latent}
FEED_FORWARDS = {"dense": dense, "experts": experts}


@lru_cache(maxsize=64)
def resolve(
    config: Config,
    labels: bool = True,
    last_logits: bool = False,
    phases: tuple[str, ...] = (),
    cached: bool = True,
    documents: bool = False,
    vectors: tuple[str, ...] = (),
) -> Graph:
    """The graph of a run: every stage that it emits, in order, with its inputs.

    labels       whether the run has labels, and so a loss
    last_logits  whether it asked for the logits of the last column only
    phases       the steps of a generation, such as ("prefill", "decode.0"); the encoder's stages
                 stand before them, the decoder's within each. Empty: a run of the whole model
    cached       whether the steps have a cache; without one each starts from nothing
    documents    whether rows hold several documents
    vectors      sides that are given vectors in place of ids, and `memory` where that is given
    """
    if not phases:
        wiring = Wiring(config, documents=documents, vectors=vectors)
        return Graph(config, wiring.model(labels, last_logits))
    return Graph(config, _generation(config, phases, cached, vectors))


def _generation(
    config: Config, phases: tuple[str, ...], cached: bool, vectors: tuple[str, ...]
) -> Iterator[Stage]:
    if config.model == "encoder-decoder":
        yield from Wiring(config, vectors=vectors).encoder()
    before = None
    for phase in phases:
        yield from Wiring(config, f"{phase}.", cached, before).step()
        before = f"{phase}."


class Wiring:
    """Walks through a model as its forward pass does, and names what it meets.

    prefix, cached and before are of a step of generation: what stands before its names, whether
    it has a cache, and the prefix of the step before it; documents, whether a row holds several.
    """

    def __init__(
        self,
        config: Config,
        prefix: str = "",
        cached: bool = False,
        before: str | None = None,
        documents: bool = False,
        vectors: tuple[str, ...] = (),
    ) -> None:
        self.config = config
        self.prefix = prefix
        self.cached = cached
        self.before = before
        self.documents = documents
        self.vectors = vectors
        self.parameters = parameter_shapes(config)

    def layer(self, place: str) -> Config:
        """The configuration of the block in which a place such as 'decoder.0.norm' stands."""
        side, i, *_ = place.split(".")
        return self.config.layer(side, int(i))

    def named(self, name: str) -> str:
        """The full name of a stage, or of the tokens of a side; the encoder is in no step."""
        return name if name.startswith("encoder") else self.prefix + name

    def given(self, name: str) -> str:
        """The name of token counts from outside."""
        return f"inputs/{self.named(name)}"

    def model(self, labels: bool, last_logits: bool) -> Iterator[Stage]:
        if self.config.model == "encoder-decoder":
            yield from self.encoder()
        last = self.config.sides[-1]
        yield from self.stack(last)
        yield from head(self, last, labels, last_logits)

    def encoder(self) -> Iterator[Stage]:
        """What the decoder looks at: of an encoder's run, or given."""
        side = "encoder"
        if not self.config.lacks_encoder and "memory" not in self.vectors:
            yield from self.stack(side)
            return
        yield self.stage(side, c.TOKEN_MASK, t=side)
        yield self.stage(side, c.MEMORY, t=side)

    def step(self) -> Iterator[Stage]:
        yield from self.stack("decoder")
        yield from head(self, "decoder", False, True)

    def stack(self, side: str) -> Iterator[Stage]:
        config = self.config
        yield from self.input(side)
        yield self.stage(side, c.TOKEN_MASK, t=side)
        if self.cached:
            yield self.appended(side, c.ALL_MASK, "mask", s=f"{side}.all")
        last = self.named(f"{side}.input")
        for i in range(config.layers(side)):
            for stage in block(self, f"{side}.{i}", last):
                yield stage
            last = stage.name
        if config.final_norm:
            yield self.stage(side, c.STACK_NORM, {"@last": last}, t=side, **norm_attributes(config))
        else:
            yield self.stage(side, c.STACK_OUTPUT, {"@last": last}, t=side)

    def appended(self, place: str, leaf: Leaf, new: str | None, s: str) -> Stage:
        """What the step before had of this leaf, then what is new; either may be nothing."""
        parts = [] if self.before is None else [f"{self.before}{place}.{leaf.name}"]
        if new is not None:
            parts.append(self.named(f"{place}.{new}"))
        return self.stage(place, leaf, {"@parts": tuple(parts)}, s=s)

    def input(self, side: str) -> Iterator[Stage]:
        config = self.config
        if side in self.vectors:
            yield self.stage(side, c.VECTORS, t=side)
        else:
            yield from self.looked_up(side)
        summands = [self.named(f"{side}.embedding")]
        if config.embedding_scale != 1.0:
            yield self.stage(side, c.SCALED_EMBEDDING, t=side, factor=config.embedding_scale)
            summands = [self.named(f"{side}.scaled_embedding")]
        roles: dict[str, Any] = {"@positions": self.given(f"{side}.positions")}
        if config.positions == "sinusoidal":
            base, layout = config.position_base, config.sinusoidal_layout
            leaf = c.SINUSOIDAL_HALVES if layout == "half" else c.SINUSOIDAL_POSITIONS
            yield self.stage(side, leaf, roles, t=side, base=base, layout=layout)
            summands.append(self.named(f"{side}.positions"))
        elif config.positions == "learned":
            offset = config.position_offset
            yield self.stage(side, c.LEARNED_POSITIONS, roles, t=side, offset=offset)
            summands.append(self.named(f"{side}.positions"))
        if config.segments:
            yield self.stage(
                side, c.SEGMENTS, {"@segments": self.given(f"{side}.segments")}, t=side
            )
            summands.append(self.named(f"{side}.segments"))
        roles = {"@summands": tuple(summands)}
        if config.embedding_norm:
            yield self.stage(side, c.EMBEDDING_SUM, roles, t=side)
            yield self.stage(side, c.INPUT_NORM, t=side, **norm_attributes(config))
        else:
            yield self.stage(side, c.INPUT_SUM, roles, t=side)

    def looked_up(self, side: str) -> Iterator[Stage]:
        """Tokens, and their rows of the table."""
        config = self.config
        yield self.stage(side, c.TOKENS, t=side)
        table = "embedding" if config.shared_embedding else f"{side}.embedding"
        rows = {"@table": f"parameters/{table}"}
        limit = config.padding_limit(side)
        hidden: dict[str, Any] = {"valid": self.named(f"{side}.mask"), "limit": limit}
        yield self.stage(side, c.EMBEDDING, rows, t=side, **hidden)

    def inside(self, place: str, start: str) -> Iterator[Stage]:
        """What a sublayer makes of `start`."""
        kind = self.feed_forward if place.endswith("feed_forward") else self.attention
        return kind(place, start)

    def attention(self, place: str, start: str) -> Iterator[Stage]:
        cross = place.endswith("cross_attention")
        kind = "multi-head" if cross else self.layer(place).attention
        return ATTENTIONS[kind](self, place, start)

    def feed_forward(self, place: str, start: str) -> Iterator[Stage]:
        return FEED_FORWARDS[self.layer(place).feed_forward](self, place, start)

    def stage(
        self,
        place: str,
        leaf: Leaf,
        roles: Mapping[str, str | tuple[str, ...]] | None = None,
        *,
        t: str | None = None,
        s: str | None = None,
        **attributes: Any,
    ) -> Stage:
        prefix = f"{place}." if place else ""
        full = self.named(prefix)
        inputs: list[str] = []
        for symbol in leaf.inputs:
            if symbol.startswith("@"):
                found = (roles or {})[symbol]
                inputs.extend((found,) if isinstance(found, str) else found)
            elif symbol.startswith("#"):
                name = prefix + symbol.strip("#?")
                if name in self.parameters:
                    inputs.append(f"parameters/{name}")
                else:
                    assert symbol.endswith("?"), name
            else:
                inputs.append(full + symbol)
        sides = {letter: self.named(x) for letter, x in (("t", t), ("s", s)) if x is not None}
        formula = formula_of(leaf, inputs, attributes, self.config)
        return Stage(full + leaf.name, leaf, tuple(inputs), formula, sides, attributes)
