"""market.agents."""
