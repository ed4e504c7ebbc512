"""testnet.grid."""
