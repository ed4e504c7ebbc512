"""Whose seal it is: the members of an epoch by name, as far as the genesis file names them."""

from collections.abc import Iterable

from node import light_answers as answers
from node.hand_over import HandOver
from node.light_client import EPOCHS_PER_ANSWER
from node.rpc.client import RpcClient
from vm.first_block import founders
from vm.genesis import Genesis


async def fetch_hand_overs(client: RpcClient, genesis: Genesis) -> list[HandOver]:
    """Return the steps into all epochs after the founders', as a node shows them."""
    steps: list[HandOver] = []
    first = founders(genesis).epoch  # Above 0 where the chain follows another.
    while True:
        given = await client.call("hearth_getEpochs", steps[-1].members.epoch if steps else first)
        items = answers.read_list(given, "hearth_getEpochs", EPOCHS_PER_ANSWER)
        steps += [answers.read_hand_over(item) for item in items]
        if len(items) < EPOCHS_PER_ANSWER:
            return steps


def names_at(genesis: Genesis, steps: Iterable[HandOver], height: int) -> list[str]:
    """Return the members that seal the block at `height`, by index: founders' names, or keys.

    Args:
        genesis: has the founders.
        steps: into the epochs after theirs, ascending.
        height: of the block.
    """
    keys = sorted(member.node_key for member in genesis.members)
    for step in steps:
        if step.members.first_height <= height:
            keys = list(step.members.keys)
    names = {member.node_key: member.name for member in genesis.members}
    return [names.get(key) or "0x" + key.hex() for key in keys]
