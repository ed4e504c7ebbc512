"""Differential fuzzing of the EVM: random transactions, judged by other implementations."""
