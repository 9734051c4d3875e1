"""The operations: pure functions, each `x_backward` directly beneath its `x_forward`.

A forward returns its value and what its backward needs (a NamedTuple); a backward takes the
gradient of the value, called `d<value>`, and returns those of the inputs.
"""
