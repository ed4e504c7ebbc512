"""node.storage."""
