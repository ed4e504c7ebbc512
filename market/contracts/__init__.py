"""market.contracts."""
