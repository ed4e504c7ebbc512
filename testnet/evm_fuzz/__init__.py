"""testnet.evm_fuzz."""
