"""market.agents.devices."""
