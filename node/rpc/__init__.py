"""node.rpc."""
