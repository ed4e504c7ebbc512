"""market.agents.strategies."""
