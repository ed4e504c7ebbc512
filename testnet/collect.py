"""Fetches what a report is made from: from every node over RPC, and from the meters' files."""

import asyncio
from itertools import pairwise
from typing import Any

from market import abi
from market.agents.devices.meter_record import MeterRecord, Registers, from_ocmf, verify_chain
from market.agents.devices.readings import QuarterReading
from market.agents.events import decode_result, encode_call
from market.agents.terms import QUARTERS_PER_WINDOW
from testnet.cluster import Cluster
from testnet.conservation import NodeView
from testnet.errors import BadFile, TimedOut
from testnet.home_files import parse_reading
from testnet.ledger import Ledger, LogLine, Tariff
from testnet.report import MeterDay
from testnet.status import wait_for_equal_heads

HEADS_SECONDS = 30.0
_BLOCKS_PER_QUERY = 128
_TRIES = 10


async def view_nodes(cluster: Cluster) -> list[NodeView]:
    """Return what every node answers at one head that all share.

    Raises:
        TimedOut: the nodes do not agree on a head, or it moves each time while they are asked.
    """
    for _ in range(_TRIES):
        height, block_hash, _ = await wait_for_equal_heads(cluster, HEADS_SECONDS)
        # One after the other: together they would answer no sooner on so few cores.
        views = [await _view(cluster, name, height) for name in cluster.names]
        # Balances are those of the head: if it moved meanwhile, they do not fit the logs.
        if (await wait_for_equal_heads(cluster, HEADS_SECONDS))[1] == block_hash:
            return views
    raise TimedOut(f"the head moved each of {_TRIES} times while the nodes were asked")


async def tariff(cluster: Cluster) -> Tariff:
    """Return the market's prices as the chain has them."""
    values = await cluster.view(cluster.names[0], "Market", "parameters")
    names = abi.FUNCTIONS["Market"]["parameters"].output_names
    named: dict[str, Any] = dict(zip(names, values, strict=True))
    return Tariff(
        retail=named["retail"],
        feed_in=named["feedIn"],
        penalty=named["penalty"],
        confirm_fee=named["confirmFee"],
    )


def meter_day(cluster: Cluster, name: str, windows: int) -> MeterDay:
    """Return a household's day from its meter's records, whose chain is verified first.

    Raises:
        RecordRefused, DecodeError: a record is not the meter's, or not in its place.
        BadFile: records of the day are missing.
    """
    path = cluster.layout.household(name).meter.records
    account = cluster.manifest.household(name).meter_account
    records = [from_ocmf(line, account) for line in path.read_text().splitlines()]
    verify_chain(records, account)
    return meter_day_of(records, windows)


def meter_day_of(records: list[MeterRecord], windows: int) -> MeterDay:
    """Return the day that verified records tell; they are one for each quarter-hour."""
    quarters = QUARTERS_PER_WINDOW * windows
    if len(records) < quarters:
        raise BadFile("records.ocmf", f"must have {quarters} records, got {len(records)}")
    ends = records[QUARTERS_PER_WINDOW - 1 : quarters : QUARTERS_PER_WINDOW]
    at_end = [Registers(), *(record.registers for record in ends)]
    last = at_end[-1]
    return MeterDay(
        import_wh=tuple(b.import_wh - a.import_wh for a, b in pairwise(at_end)),
        export_wh=tuple(b.export_wh - a.export_wh for a, b in pairwise(at_end)),
        stored_wh=last.charged_wh - last.discharged_wh - last.loss_wh,
    )


def readings_of_day(cluster: Cluster, name: str, windows: int) -> list[QuarterReading]:
    """Return the day's quarter-hours of a household, for plots; raises BadFile."""
    first = cluster.manifest.history_quarters
    with cluster.layout.household(name).meter.readings.open("rb") as file:
        lines = [line for line in file if line.endswith(b"\n")]
    return [parse_reading(line) for line in lines[first : first + QUARTERS_PER_WINDOW * windows]]


def log_line(log: dict[str, Any]) -> LogLine:
    """Return a log that a node answered as bytes."""
    return (
        bytes.fromhex(log["address"][2:]),
        tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
        bytes.fromhex(log["data"][2:]),
    )


async def _view(cluster: Cluster, name: str, height: int) -> NodeView:
    client = cluster.client(name)
    logs: list[LogLine] = []
    for first in range(1, height + 1, _BLOCKS_PER_QUERY):
        last = min(first + _BLOCKS_PER_QUERY - 1, height)
        query = {"fromBlock": hex(first), "toBlock": hex(last)}
        logs += [log_line(log) for log in await client.call("eth_getLogs", query)]
    ledger = Ledger(logs)
    header = await client.call("hearth_getHeader", height)
    money_supply, energy_supply = await asyncio.gather(
        cluster.view(name, "MoneyToken", "totalSupply"),
        cluster.view(name, "EnergyToken", "totalSupply"),
    )
    return NodeView(
        name=name,
        height=height,
        block_hash=header["hash"],
        state_root=header["stateRoot"],
        logs=tuple(logs),
        money=await _balances(cluster, name, "MoneyToken", sorted(ledger.money.balances)),
        energy=await _balances(cluster, name, "EnergyToken", sorted(ledger.energy.balances)),
        money_supply=money_supply[0],
        energy_supply=energy_supply[0],
    )


async def _balances(
    cluster: Cluster, name: str, token: str, accounts: list[bytes]
) -> dict[bytes, int]:
    calls = []
    for account in accounts:
        to, data = encode_call(token, "balanceOf", (account,))
        calls.append(("eth_call", [{"to": f"0x{to.hex()}", "data": f"0x{data.hex()}"}, "latest"]))
    answers = await cluster.client(name).batch(calls)
    return {
        account: decode_result(token, "balanceOf", bytes.fromhex(answer[2:]))[0]
        for account, answer in zip(accounts, answers, strict=True)
    }
