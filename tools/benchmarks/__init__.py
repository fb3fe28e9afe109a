"""What `tools/bench` measures: authd as its users start it, each figure beside the bare limit taken in the same run.

Load generators, references and the daemon are processes of their own; this package starts them and compares.
"""
