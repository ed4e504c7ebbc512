"""market.agents.analytics."""
