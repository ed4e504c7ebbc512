"""The household's process: asyncio around the consensus core and the replicated machine.

All decisions are made in `consensus` and `vm`; here is what touches clock, disk and sockets. It
must not know what a market is (`node.natives` alone names the contracts). Start with `node.app`,
then `consensus_driver`, `executor`, `chain`.
"""
