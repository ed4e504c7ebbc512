"""testnet.bench."""
