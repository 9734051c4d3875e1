"""Bugs planted in filters, sampling and beam search: each is caught, and by what."""

import decoding_checks as checks
import filter_checks
import pytest

from numtx.testing.second_copy import second_copy

FILTERS, SAMPLE, BEAM = "decoding.filters", "decoding.sample", "decoding.beam"
PROBABILITY, GENERATE = "decoding.probability", "decoding.generate"

BUGS = [
    # filters
    ("the penalty raises negative logits", FILTERS,
     "np.where(old > 0, old / penalty, old * penalty)", "old / penalty", filter_checks.penalty),
    ("the penalty counts a token as often as it was seen", FILTERS,
     "    result = logits.copy()\n", "    result = logits.copy()\n"
     "    rows = [[t for t in row for _ in (0,)] for row in rows]\n"
     "    for row, seen in enumerate(rows):\n"
     "        for t in seen[1:]:\n"
     "            old = result[row, t]\n"
     "            result[row, t] = old / penalty if old > 0 else old * penalty\n"
     "    logits = result.copy()\n", filter_checks.penalty),
    ("the penalty falls on all rows", FILTERS,
     "result[row, tokens] = np.where", "result[:, tokens] = np.where", filter_checks.penalty),
    ("the penalty writes into the logits", FILTERS,
     "result = logits.copy()", "result = logits", filter_checks.order_of_filters),
    ("temperature multiplies", FILTERS,
     "scaled = logits / temperature", "scaled = logits * temperature", filter_checks.temperature),
    ("temperature 0 divides", FILTERS,
     "if logits.dtype.type(temperature) == 0:", "if False:", filter_checks.temperature),
    ("a cold temperature overflows", FILTERS, "if lost.any():", "if False:",
     filter_checks.temperature),
    ("top-k keeps all that tie with the last", FILTERS,
     "return _keep(logits, _descending(logits)[:, :k])",
     "return np.where(logits >= -np.sort(-logits, -1)[:, k - 1 : k], logits, -np.inf)",
     filter_checks.top_k),
    ("top-k breaks ties from the back", FILTERS,
     'np.argsort(-logits, -1, kind="stable")', "np.argsort(logits, -1, kind='stable')[:, ::-1]",
     filter_checks.top_k),
    ("top-k one too few", FILTERS, "(logits)[:, :k])", "(logits)[:, : max(1, k - 1)])",
     filter_checks.top_k),
    ("top-p drops the token that crosses", FILTERS,
     "np.cumsum(probabilities[:, :-1], -1, out=before[:, 1:])",
     "np.cumsum(probabilities, -1, out=before)", filter_checks.top_p),
    ("top-p may be empty", FILTERS, "before < p)", "before + probabilities <= p)",
     filter_checks.top_p),
    ("top-p keeps the least probable", FILTERS,
     "    order = _descending(logits)\n    probabilities",
     "    order = _descending(-logits)\n    probabilities", filter_checks.top_p),
    ("top-p keeps one too many", FILTERS, "before < p)", "before - probabilities < p)",
     filter_checks.top_p),
    ("min-p of 1 instead of the largest", FILTERS,
     "np.maximum.reduce(logits, -1, keepdims=True) + math.log(p)", "math.log(p)",
     filter_checks.min_p),
    ("min-p in place of its logarithm", FILTERS, "+ math.log(p)", "- p", filter_checks.min_p),
    ("temperature after top-p", FILTERS,
     "        if self.temperature != 1.0:\n            logits = temper(logits, self.temperature)\n"
     '            add("temperature", self.temperature, logits)\n'
     "        if self.top_k is not None:\n", "        if self.top_k is not None:\n",
     filter_checks.order_of_filters),
    ("a filter works on the raw logits", FILTERS,
     "logits = keep_min_p(logits, self.min_p)", "logits = keep_min_p(found[0].logits, self.min_p)",
     filter_checks.order_of_filters),
    # sampling
    ("the filters are not used", SAMPLE,
     "draw(probabilities_of(filters(logits, rows)), np.array(draws))",
     "draw(probabilities_of(logits), np.array(draws))", filter_checks.frequencies),
    ("one generator for all rows", SAMPLE,
     "np.random.default_rng([one, len(row)]).random()",
     "np.random.default_rng([seeds[0], len(row)]).random()", filter_checks.frequencies),
    ("the same draw at every step", SAMPLE, "[one, len(row)]", "[one]", filter_checks.frequencies),
    ("a draw that is not uniform", SAMPLE, "len(row)]).random()", "len(row)]).random() ** 1.1",
     filter_checks.frequencies),
    ("draws that depend on the batch", SAMPLE, "[one, len(row)]", "[one, len(row), len(rows)]",
     checks.sampling_alone_and_in_a_batch),
    ("the border belongs to the token before", SAMPLE,
     "np.argmax(total > uniform", "np.argmax(total >= uniform", filter_checks.edges_of_a_draw),
    # a given text
    ("the product begins a place too late", PROBABILITY,
     "logits[len(before) - 1 :]", "logits[len(before) :]", checks.given_texts),
    ("the prompt counts", PROBABILITY, "return SequenceProbability(per_token,",
     "per_token[0] = per_token[0] - 1.0\n    return SequenceProbability(per_token,",
     checks.given_texts),
    ("logits instead of log-probabilities", PROBABILITY,
     "log_softmax_forward(logits[len(before) - 1 :])", "logits[len(before) - 1 :]",
     checks.given_texts),
    # beam search
    ("beams are not reordered", BEAM,
     "[start + one.parent for one in search.running]",
     "[start + min(k, len(before) - 1) for k, one in enumerate(search.running)]",
     checks.beams_are_sorted_and_scores_recomputed),
    ("only the keys are reordered", "cache.storage", "a[index] for name, a",
     "(a[index] if name == 'keys' else a[np.arange(len(index)) % len(a)]) for name, a",
     checks.beams_are_sorted_and_scores_recomputed),
    ("the length penalty counts the prompt", BEAM,
     "score = rules.score(log_probability, len(tokens))",
     "score = rules.score(log_probability, len(tokens) + len(search.prompt))",
     checks.beams_are_sorted_and_scores_recomputed),
    ("the end does not count for the length", BEAM,
     "score = rules.score(log_probability, len(tokens))",
     "score = rules.score(log_probability, max(1, len(tokens) - ended))",
     checks.beams_are_sorted_and_scores_recomputed),
    ("no length penalty", BEAM, "length**self.length_penalty", "1.0",
     checks.beams_are_sorted_and_scores_recomputed),
    ("the search stops at the first finished text", BEAM,
     "if len(search.finished) < self.beams:", "if not search.finished:",
     checks.stopping_loses_nothing),
    ("the search stops as soon as enough are finished", BEAM,
     "return attainable <= search.finished[-1].score", "return True",
     checks.stopping_loses_nothing),
    ("the bound forgets that longer texts score higher", BEAM,
     "(len(search.running[0].tokens) + 1, self.longest)", "(len(search.running[0].tokens) + 1,)",
     checks.a_long_text_may_still_win),
    ("a finished text goes on", BEAM, "if ended or is_last:", "if is_last:",
     checks.beams_are_sorted_and_scores_recomputed),
    ("texts end from beyond the beams", BEAM, "if rank < rules.beams:", "if True:",
     checks.stopping_loses_nothing),
    ("sums are forgotten", BEAM, "total = before[:, None] + log",
     "total = 0 * before[:, None] + log",
     checks.beams_are_sorted_and_scores_recomputed),
    ("logits are summed", BEAM, "log_softmax_forward(logits).astype(np.float64)",
     "logits.astype(np.float64)", checks.beams_are_sorted_and_scores_recomputed),
    ("hypotheses are not sorted", BEAM,
     "    search.finished.sort(key=lambda one: -one.score)\n", "",
     checks.beams_are_sorted_and_scores_recomputed),
    ("a second stop token is ignored", BEAM, "(eos, *stop)", "(eos,)",
     checks.enough_beams_are_exhaustive),
    ("texts cut at the limit are lost", BEAM, "if ended or is_last:", "if ended:",
     checks.enough_beams_are_exhaustive),
    ("one search ends all", BEAM,
     "going = [search for search in searches if not search.is_over]",
     "going = [] if any(s.is_over for s in searches) else searches",
     checks.beams_alone_and_in_a_batch),
    ("one beam goes on after its end", BEAM, "if self.beams == 1:", "if False:",
     checks.one_beam_is_greedy),
    ("the penalty does not know the prompt", BEAM,
     "[*search.prompt, *one.tokens]", "[*one.tokens]", checks.one_beam_is_greedy),
    # generate
    ("padding is seen by the penalty", GENERATE,
     "[row[real].tolist() for row, real in zip(given.ids, given.valid, strict=True)]",
     "[row.tolist() for row in given.ids]", checks.padding_is_not_seen),
]  # fmt: skip

# By what a check says, or by what the code itself refuses; never by source that is broken.
CAUGHT = (AssertionError, ValueError, IndexError, RuntimeWarning)


@pytest.mark.parametrize(("module", "old", "new", "check"), [b[1:] for b in BUGS],
                         ids=[b[0] for b in BUGS])  # fmt: skip
def test_a_planted_bug_is_caught(module, old, new, check):
    with second_copy([(module, old, new)]) as copy, pytest.raises(CAUGHT) as caught:
        check(copy.module)
    assert type(caught.value).__name__ != "SubstitutionError"


def test_the_copy_without_a_bug_passes():
    with second_copy() as copy:
        for check in dict.fromkeys(bug[-1] for bug in BUGS):
            check(copy.module)
