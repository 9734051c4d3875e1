"""Models from outside: a folder with config.json and model.safetensors, read and written by hand.

words         the tokens of tokenizer.json
folder        a whole folder: `read_model`, `write_model`
"""
