"""How families say models in their folders: tables read in both directions.

layout    what a table is, and how it is read
rules     what several fields of a config.json say together
rows      what many tables share
by_layer  the same of layers that differ
"""
