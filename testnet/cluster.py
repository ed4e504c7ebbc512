"""A testnet that exists on disk: its manifest, processes, keys and RPC clients in one hand."""

import shutil
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, final

from crypto.keystore import HouseholdKeys
from market.agents.events import decode_result, encode_call
from node.rpc.client import RpcClient
from testnet.errors import NotRunning
from testnet.layout import TestnetLayout
from testnet.manifest import Manifest
from testnet.processes import SERVICES_LABEL, Processes, agent_label, meter_label, node_label
from testnet.setup import load_household_keys
from vm.genesis import Genesis
from vm.transaction import sign_transaction

CALL_GAS = 1_000_000
"""Gas limit of the launcher's own transactions; what is not used is not charged."""


@final
class Cluster:
    """One testnet. Use as an asynchronous context manager: it closes the clients, not the nodes."""

    def __init__(self, layout: TestnetLayout) -> None:
        """Open the testnet in `layout`; raises BadFile if there is none."""
        self.layout = layout
        self.manifest = Manifest.load(layout.manifest)
        self.genesis = Genesis.from_json(layout.genesis.read_bytes())
        self.processes = Processes(layout)
        self._clients: dict[str, RpcClient] = {}
        self._keys: dict[str, HouseholdKeys] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The households, in the order of the genesis file."""
        return tuple(entry.name for entry in self.manifest.households)

    @property
    def living(self) -> tuple[str, ...]:
        """The households whose node runs."""
        return tuple(n for n in self.names if self.processes.pid(node_label(n)) is not None)

    def client(self, name: str) -> RpcClient:
        """Return the client of a household's node, with the token of its home."""
        if name not in self._clients:
            token = self.layout.household(name).token.read_text().strip()
            self._clients[name] = RpcClient(self.manifest.household(name).rpc_url, token)
        return self._clients[name]

    def keys(self, name: str) -> HouseholdKeys:
        """Return the keys of a household. SECRET."""
        if name not in self._keys:
            self._keys[name] = load_household_keys(self.layout.household(name))
        return self._keys[name]

    def start_node(self, name: str) -> None:
        """Start the node of a household, if it does not run."""
        home = str(self.layout.household(name).home)
        self.processes.start(node_label(name), ["node", "run", "--home", home])

    def start_household(self, name: str) -> None:
        """Start the meter and the agents of a household, if they do not run."""
        home = self.layout.household(name)
        self.processes.start(meter_label(name), ["meters", "run", "--home", str(home.meter.home)])
        self.processes.start(agent_label(name), ["agent", "run", "--home", str(home.home)])

    def start_services(self) -> None:
        """Start the agents of the operator and the external market, in one process."""
        arguments = ["agent", "run", "--services", str(self.layout.home)]
        self.processes.start(SERVICES_LABEL, arguments)

    def stop(self, labels: Iterable[str] | None = None) -> None:
        """End processes, by default all: what uses the nodes first, then the nodes."""
        wanted = self.processes.labels() if labels is None else tuple(labels)
        nodes = {node_label(name) for name in self.names}
        self.processes.stop(label for label in wanted if label not in nodes)
        self.processes.stop(label for label in wanted if label in nodes)

    def reset(self) -> None:
        """End everything and delete the testnet's folder."""
        self.stop()
        shutil.rmtree(self.layout.home)

    def require_running(self) -> None:
        """Raise NotRunning unless every node runs."""
        missing = [name for name in self.names if name not in self.living]
        if missing:
            raise NotRunning(f"no node runs for {', '.join(missing)}: `hearth testnet up`")

    def sign_call(
        self, signer: HouseholdKeys, nonce: int, contract: str, function: str, *args: object
    ) -> bytes:
        """Return a signed call by the household's own account, raw."""
        to, data = encode_call(contract, function, args)
        return sign_transaction(
            signer.account,
            chain_id=self.genesis.chain_id,
            nonce=nonce,
            to=to,
            data=data,
            gas_limit=CALL_GAS,
        )

    async def view(self, name: str, contract: str, function: str, *args: object) -> tuple[Any, ...]:
        """Call a view at the head of a household's node."""
        to, data = encode_call(contract, function, args)
        call = {"to": f"0x{to.hex()}", "data": f"0x{data.hex()}"}
        output = await self.client(name).call("eth_call", call, "latest")
        return decode_result(contract, function, bytes.fromhex(output[2:]))

    async def nonce(self, name: str, address: bytes) -> int:
        """Return an account's next nonce, pending transactions counted, as a node knows it."""
        count = await self.client(name).call(
            "eth_getTransactionCount", f"0x{address.hex()}", "pending"
        )
        return int(count, 16)

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
