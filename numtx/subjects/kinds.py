"""What is not a model, and laws are asked of too: an attention operator, a chooser of tokens.

Each kind has laws of its own; what one can do is named here, in the order of reports.
"""

from __future__ import annotations

ATTENTION = "attention"  # q, k, v -> out
CAUSAL = "causal"  # no query sees a later key
SCORE_MASK = "mask"  # True where a query may attend to a key
BIAS = "bias"  # added to the scaled scores
WINDOW = "window"  # the last keys only
SOFTCAP = "softcap"  # cap * tanh(score / cap)
SINKS = "sinks"  # a score a head that has no value
SCALE = "scale"  # of the products
SLOPES = "slopes"  # a head's score falls with the distance
GROUPED = "grouped"  # fewer key/value heads than query heads
LSE = "lse"  # the log of the sum of exponentials comes with the output
GRADIENTS = "gradients"  # of queries, keys and values

CHOOSER = "chooser"  # logits -> logits, ids, texts
TOP_K, TOP_P, MIN_P, TEMPERATURE = "top_k", "top_p", "min_p", "temperature"
PENALTY = "repetition_penalty"
NGRAMS = "no_repeat_ngram"
HELD = "min_new_tokens"
SAMPLE = "sample"
BEAM_SEARCH = "beam_search"
FILTERS = (TOP_K, TOP_P, MIN_P, TEMPERATURE, PENALTY, NGRAMS, HELD)
CHOOSER_CAPABILITIES = (CHOOSER, *FILTERS, SAMPLE, BEAM_SEARCH)
