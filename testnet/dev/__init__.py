"""`hearth testnet dev`: one chain in one process, for people who write contracts."""
