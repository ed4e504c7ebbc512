"""node.p2p."""
