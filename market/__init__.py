"""The market: contracts on the chain and agents off it, with units and ABI between them."""
