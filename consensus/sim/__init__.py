"""The deterministic simulator of the consensus core: one seed, one run.

Runs the real `Replica`; only time, network, disk, application and signatures are stand-ins.
Start with `world`, then `cluster`, `faults` and `checkers`; `mutants` shows that they bite.
"""
