"""market.agents.trading."""
