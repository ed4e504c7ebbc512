"""consensus.sim."""
