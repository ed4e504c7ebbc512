"""The bottom layer: keys, hashes, encodings and Merkle trees.

It imports nothing of ours and knows neither blocks nor votes nor markets. Everything here is
a pure function of its arguments, but for `keystore`, which reads and writes key files and draws
fresh randomness. Start with `hashing`, then `codec`, then `keys`.
"""
