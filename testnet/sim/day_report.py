"""The report of a simulated day: the same as the demo's, from the one chain and the meters."""

from itertools import pairwise

from market.abi import Transfer
from market.agents.devices.meter_record import MeterRecord, Registers, verify_chain
from market.agents.events import decode_events
from market.agents.terms import QUARTERS_PER_WINDOW
from testnet.conservation import NodeView
from testnet.genesis import FIRST_WINDOW
from testnet.layout import BASE_PORT, p2p_port, rpc_port
from testnet.ledger import Tariff
from testnet.manifest import HouseholdEntry, Manifest, ServiceEntry
from testnet.report import DayRun, MeterDay, Report, make_report
from testnet.sim.day import Day


def report_of(day: Day, *, wall_s: float) -> Report:
    """Return the report of a day that has run; `conditions` says what it meets."""
    (parameters,) = [day.chain.view("Market", "parameters")]
    run = DayRun(
        manifest=_manifest(day),
        tariff=Tariff(
            retail=parameters[0],
            feed_in=parameters[1],
            penalty=parameters[2],
            confirm_fee=parameters[8],
        ),
        windows=day.windows,
        nodes=(_node_view(day),),
        meters={name: _meter_day(day, name) for name in day.meters},
        wall_s=wall_s,
    )
    return make_report(run)


def _node_view(day: Day) -> NodeView:
    logs = tuple(event for block in day.chain.blocks for event in block.events)
    holders = {
        account
        for block in day.chain.blocks
        for event in decode_events(block)
        if isinstance(event, Transfer)
        for account in (event.source, event.to)
        if any(account)
    }
    view = day.chain.view
    return NodeView(
        name="in process",
        height=day.chain.head.number,
        block_hash=day.chain.head.hash.hex(),
        state_root=day.state_root.hex(),
        logs=logs,
        money={each: view("MoneyToken", "balanceOf", each)[0] for each in sorted(holders)},
        energy={each: view("EnergyToken", "balanceOf", each)[0] for each in sorted(holders)},
        money_supply=view("MoneyToken", "totalSupply")[0],
        energy_supply=view("EnergyToken", "totalSupply")[0],
    )


def _meter_day(day: Day, name: str) -> MeterDay:
    """The household's day by its meter's records, whose chain is verified first."""
    index = [profile.name for profile in day.community.households].index(name)
    records = list(day.meters[name].records)
    verify_chain(records, day.genesis.members[index].meter.account)
    quarters = QUARTERS_PER_WINDOW * day.options.windows
    at_end = [Registers(), *_registers(records[:quarters])]
    if len(at_end) != day.options.windows + 1:  # A meter that was silent measured nothing.
        at_end = [Registers()] * (day.options.windows + 1)
    last = at_end[-1]
    return MeterDay(
        import_wh=tuple(b.import_wh - a.import_wh for a, b in pairwise(at_end)),
        export_wh=tuple(b.export_wh - a.export_wh for a, b in pairwise(at_end)),
        stored_wh=last.charged_wh - last.discharged_wh - last.loss_wh,
    )


def _registers(records: list[MeterRecord]) -> list[Registers]:
    """The registers at the end of each window."""
    return [record.registers for record in records[QUARTERS_PER_WINDOW - 1 :: QUARTERS_PER_WINDOW]]


def _manifest(day: Day) -> Manifest:
    households = tuple(
        HouseholdEntry(
            name=profile.name,
            kind=profile.kind,
            account=member.account,
            meter_account=member.meter.account,
            p2p_port=p2p_port(index, BASE_PORT),
            rpc_port=rpc_port(index, BASE_PORT),
        )
        for index, (profile, member) in enumerate(
            zip(day.community.households, day.genesis.members, strict=True)
        )
    )
    return Manifest(
        day=day.community.day,
        seed=day.options.seed,
        base_port=BASE_PORT,
        window_ms=day.genesis.window_ms,
        record_ms=day.genesis.record_ms,
        genesis_time_ms=day.genesis.time_ms,
        first_window=FIRST_WINDOW,
        history_quarters=day.community.history_quarters,
        households=households,
        services=tuple(
            ServiceEntry(name=name, account=account, via=households[0].name)
            for name, account in day.genesis.services
        ),
    )
