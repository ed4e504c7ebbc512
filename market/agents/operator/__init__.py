"""market.agents.operator."""
