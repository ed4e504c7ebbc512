"""testnet.sim."""
