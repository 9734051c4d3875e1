"""What each law is for: a bug that no law of another family catches, or the laws that imply it.

The default suite holds this table complete and free of circles; the matrix of all bugs and laws
(`--heavy`, `numtx laws --zoo`) holds each line to what was caught.
"""

from __future__ import annotations

from collections.abc import Mapping

# By law, the bug that only its family, the laws of one letter, catches.
ALONE: Mapping[str, str] = {
    "K5": "window looks back only, in an encoder too",
    "K6-grad": "whom padding chose moves the last bits",
    "K6-padding": "NaN under padding is let through",
    "K8": "additive mask read with the other polarity",
    "S1": "log_softmax without taking the largest away",
    "S2": "weights of float32 do not sum to 1",
    "S3": "frequencies with half the exponent",
    "K9": "chunks ignored",
    "V7": "logits without the cap",
    "V8": "the sink counted twice",
    "V2": "the scale is another where groups are written out",
    "V3": "scale by the width of the model",
    "V4": "the scale is another where a window is",
    "V5": "latents: the scale of d_k alone",
    "P5": "a position past the table is let through",
    "B6": "the documents before are seen",
    "C1": "keys are cached before their rotation",
    "C2": "a ring evicts before its old tokens were read",
    "C3": "a fork shares memory",
    "C4": "truncation of all rows to the longest",
    "C5": "a ring's reorder forgets the slots",
    "C6": "reset does nothing to the storage",
    "C7": "a failed call is not rolled back",
    "C10": "a cache of other rows is broadcast",
    "C11": "cross-attention's mask forgotten in decode",
    "C13": "truncation keeps one token too many",
    "C14": "a shift keeps one token too many",
    "C15": "a shift does not turn what stays",
    "R2": "fast way: scores of float32 pass through half of its bits",
    "L1": "more of a label is smoothed away than is spread",
    "L4": "labels that are all ignored are let through",
    "G1": "the memory's gradient from one layer only",
    "G2": "dead keys get a gradient before their rotation",
    "T1": "fast way: scale lost in backward",
    "T2": "0 * NaN from masked values",
    "D1": "top-k keeps all that tie with the last",
    "D2": "top-p compares with the unsorted mass",
    "D3": "temperature 0 divides by almost 0",
    "D4": "the repetition penalty boosts negative logits",
    "D5": "logits of the last column, padding or not",
    "D6": "beam search stops at the first finished text",
    "D7": "the ban of repeated n-grams forgets the last run",
    "D8": "the end is held back one token too few",
    "W1": "parameters lose digits when they are read",
}

# By law, the laws of which one catches whatever it catches in numtx. Of a model of which less is
# known than numtx's own stages it may be the only one to be asked.
IMPLIED: Mapping[str, str] = {
    "K1": "K3",
    "K2": "C1",
    "K3": "C1",
    "K4": "S3 C1",
    "K6": "S3 T1",
    "K6-memory": "C11 T1",
    "K7": "S3 T1 B3",
    "S4": "S3",
    "V1": "S3 T2",
    "V6": "S3",
    "V11": "S3",
    "V21": "S3",
    "V22": "S3",
    "V23": "S3",
    "V24": "S3",
    "V12": "S3",
    "V13": "S3 G1",
    "V14": "S3",
    "P1": "S3",
    "P3": "S3 T1",
    "P3-none": "S3",
    "P4": "S3",
    "P6": "S3 B3",
    "C8": "C1",
    "C9": "S3 C1",
    "C12": "C1",
    "B1": "B4",
    "B1-mask": "B4-mask",
    "B1-memory": "B4-memory S3",
    "B2": "B4",
    "B2-grad": "S3",
    "B3": "C11",
    "B3-grad": "S3 B3",
    "B4": "S3",
    "B4-mask": "S3 T1",
    "B4-memory": "S3 T1",
    "B5": "S3 C11 T1",
    "R1": "B1",
    "L2": "S3",
    "L3": "S3",
    "L5": "S3",
    "L6": "S3 L1",
    "G2-later": "S3",
    "G3": "S3",
    "G4": "S3",
    "W2": "S3 C1",
    "W4": "S3 R2",
}

# Laws that catch no planted bug, and why they stay.
STAYS: Mapping[str, str] = {
    "D9": "numtx does not speculate; see test_law_kit_speculate",
}
