"""What tests of numtx, and of code beside it, are built from.

Importing this package loads no test library; the modules that need one import it themselves.
"""
