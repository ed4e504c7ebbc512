"""The replicated state machine: transactions, blocks, state and the host of native contracts.

Pure: the same parent, block and state give the same result on every machine, or the same typed
refusal. It knows neither votes nor sockets nor disks; time comes from the block. Start with
`execute` (what one transaction does), then `machine` (what a block is), then `native` (how a
contract is written) and `bytecode` (how one that somebody deployed runs; the EVM is in `vm.evm`).
"""
