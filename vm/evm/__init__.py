"""The Ethereum Virtual Machine: Cancun without blobs, precompiles 1 to 5."""
