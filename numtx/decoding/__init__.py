"""Generation: prefill, decode, choosing the next token, and what each step computed and read."""

from __future__ import annotations

from .beam import BeamSearch as BeamSearch
from .beam import beam_search as beam_search
from .filters import Filters as Filters
from .generate import Generation as Generation
from .generate import Step as Step
from .generate import generate as generate
from .generate import greedy as greedy
from .probability import sequence_log_probability as sequence_log_probability
from .record import record_generation as record_generation
from .sample import filtered_greedy as filtered_greedy
from .sample import sampler as sampler
