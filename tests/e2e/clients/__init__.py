"""Ethereum's own clients against a running testnet: web3.py, ethers and viem."""
