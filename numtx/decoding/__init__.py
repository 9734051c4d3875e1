"""Generation: prefill, decode, and what each step computed and read."""

from __future__ import annotations

from .generate import Generation as Generation
from .generate import Step as Step
from .generate import generate as generate
from .generate import greedy as greedy
from .generate import stream as stream
from .record import record_generation as record_generation
