"""Models from outside: a folder with config.json and model.safetensors, read and written by hand.

safetensors   the file of tensors: a length, a JSON header, bytes
layout        how a folder's fields and tensors become a configuration and parameters, and back
families      the tables, one a family
words         the tokens of tokenizer.json
folder        a whole folder: `read_model`, `write_model`
"""
