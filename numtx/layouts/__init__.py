"""How families say models in their folders: tables read in both directions.

layout    what a table is, and how it is read
rules     what several fields of a config.json say together
families  the tables, one a family
"""
