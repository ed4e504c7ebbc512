"""Targets: files of the command line and of testnets, and what people type."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from cli import chain_verify, genesis, members, wallet
from cli.decoders import material, scratch
from cli.decoders.target import Finding, Target
from cli.errors import Unusable
from cli.proof_file import StateProof, read_seal
from crypto.merkle import Proof
from market.abi import FUNCTIONS
from market.agents.devices.readings import QuarterReading
from node.light_client import TrustedBlock
from testnet import strict_json
from testnet.bank import BankFile, opening_deposits
from testnet.dev.errors import BadState
from testnet.dev.state_file import DumpedState, open_rows
from testnet.errors import BadFile
from testnet.grid.community import BatterySpec, HouseholdProfile
from testnet.home_files import AgentFile, MeterFile, parse_reading, reading_line
from testnet.manifest import HouseholdEntry, Manifest, ServiceEntry
from vm.accounts import account_key
from vm.genesis import member_to_json

_BATTERY: Final = BatterySpec(capacity_wh=5_000, power_w=2_500, efficiency_ppm=950_000)


# Proofs and trusted blocks.


def _proofs() -> list[bytes]:
    dev = material.chain()
    chain = dev.chain
    found = []
    for address in (dev.community.accounts[0].address, bytes(20)):
        key = account_key(address)
        found.append(
            StateProof(
                genesis_hash=chain.genesis.hash,
                key=key,
                value=chain.state().get(key),
                proof=Proof.from_bytes(chain.prove(key)),
                header=chain.head,
                seal=chain.seal(chain.height),
                epochs=chain.epochs()[1:],
            ).to_json()
        )
    return found


def _rpc_proofs() -> list[bytes]:
    dev = material.chain()
    key, head = account_key(dev.community.accounts[0].address), dev.chain.head
    seal = material.seal(head.number)
    answer = {
        "key": "0x" + key.hex(),
        "value": "0x" + (dev.chain.state().get(key) or b"").hex(),
        "proof": "0x" + dev.chain.prove(key).hex(),
        "header": {"bytes": "0x" + head.to_bytes().hex()},
        "seal": {
            "view": seal.view,
            "signatures": [
                {"member": member, "signature": "0x" + signature.hex()}
                for member, signature in seal.signatures
            ],
        },
    }
    return [json.dumps(answer).encode()]


def _rpc_proof(data: bytes) -> None:
    answer = strict_json.parse(data, "answer")
    found = StateProof.from_rpc(material.chain().chain.genesis, answer)
    if found.seal is not None and read_seal(answer["seal"], "seal") != found.seal:
        raise Finding("a seal is read in two ways")


@cache
def _first_block() -> TrustedBlock:
    return chain_verify.genesis_block(material.chain().chain.genesis)


def _trusted() -> list[bytes]:
    return [chain_verify.render_trusted(_first_block())]


def _trusted_block(data: bytes) -> None:
    digest = _first_block().genesis_digest
    trusted = chain_verify.load_trusted(scratch.file("seal.json", data), digest)
    again = scratch.file("seal.json", chain_verify.render_trusted(trusted))
    if chain_verify.load_trusted(again, digest) != trusted:
        raise Finding("a trusted block changes when it is written and read again")


# Testnets.


def _meter_files() -> list[bytes]:
    profile = HouseholdProfile(
        name="lindenweg-1",
        bus=4,
        load_wh=(1, 2, 3),
        pv_wh=(0, 0, 7),
        battery=_BATTERY,
    )
    return [
        MeterFile(
            household=bytes(20),
            meter_id="1EMH001",
            rpc_url="http://127.0.0.1:8545",
            first_window=1,
            history_quarters=4,
            profile=profile,
        ).to_json()
    ]


def _agent_files() -> list[bytes]:
    return [
        AgentFile(
            household="lindenweg-1",
            seed=7,
            first_window=1,
            history_quarters=4,
            battery=battery,
            windows=windows,
        ).to_json()
        for battery, windows in ((None, None), (_BATTERY, 3))
    ]


def _manifests() -> list[bytes]:
    household = HouseholdEntry(
        name="lindenweg-1",
        kind="PV + battery",
        account=bytes(20),
        meter_account=material.RECEIVER,
        p2p_port=26_600,
        rpc_port=8_545,
    )
    return [
        Manifest(
            day="2016-06-14",
            seed=1,
            base_port=26_600,
            window_ms=60_000,
            record_ms=10_000,
            genesis_time_ms=1_767_225_600_000,
            first_window=1,
            history_quarters=96,
            households=(household,),
            services=(ServiceEntry(name="operator", account=bytes(20), via="lindenweg-1"),),
        ).to_json()
    ]


def _reading(data: bytes) -> bytes:
    return reading_line(parse_reading(data))


def _loads(kind: Any, name: str) -> Callable[[bytes], bytes]:
    """Return a run that loads `kind` from a file and writes it again."""

    def run(data: bytes) -> bytes:
        written: bytes = kind.load(scratch.file(name, data)).to_json()
        return written

    return run


def _states() -> list[bytes]:
    return [material.chain().dump().to_bytes()]


def _state(data: bytes) -> bytes:
    """What the file says is read strictly; whether it is a chain is tried."""
    dumped = DumpedState.from_bytes(data)
    try:
        open_rows(dumped, material.chain().chain.genesis)
    except BadState:
        return dumped.to_bytes()
    return dumped.to_bytes()


# What people type or carry about.


def _typed(data: bytes) -> None:
    """Options of commands; byte one says which."""
    text = data[1:].decode("utf-8", "surrogateescape")
    match data[:1]:
        case b"s":
            genesis.parse_services(text.split("\n"))
        case b"p":
            genesis.parse_settings(text.split("\n"))
        case b"t":
            genesis.parse_time(text)
        case _:
            wallet.parse_amount(text, 10**8)


def _members() -> list[bytes]:
    return [json.dumps(member_to_json(material.chain().chain.genesis.members[0])).encode()]


def _member(data: bytes) -> None:
    genesis.read_member(scratch.file("member.json", data))


def _candidates() -> list[bytes]:
    function = FUNCTIONS["Membership"]["propose"]
    pairs = zip(function.input_names, function.input_types, strict=True)
    value = {name: "text" if kind == "string" else "0x" + "ab" * 20 for name, kind in pairs}
    return [json.dumps(value).encode()]


def _candidate(data: bytes) -> None:
    arguments = members.read_candidate(scratch.file("candidate.json", data))
    if not all(isinstance(each, str | bytes) for each in arguments):
        raise Finding("a candidate holds something else than text and bytes")


def _json(data: bytes) -> None:
    value = strict_json.parse(data, "file")
    if strict_json.read_file(scratch.file("some.json", strict_json.render(value))) != value:
        raise Finding("a JSON file changes when it is written and read again")


TARGETS: Final = (
    Target(
        name="state-proof",
        covers=(StateProof.from_json,),
        run=lambda data: StateProof.from_json(data).to_json(),
        refuses=(BadFile,),
        seeds=_proofs,
        bytes_max=16 << 10,
    ),
    Target(
        name="state-proof-rpc",
        covers=(StateProof.from_rpc, read_seal),
        run=_rpc_proof,
        refuses=(BadFile,),
        seeds=_rpc_proofs,
        bytes_max=16 << 10,
    ),
    Target(
        name="trusted-block",
        covers=(chain_verify.load_trusted,),
        run=_trusted_block,
        refuses=(Unusable,),
        seeds=_trusted,
    ),
    Target(
        name="meter-file",
        covers=(MeterFile,),
        run=_loads(MeterFile, "profile.json"),
        refuses=(BadFile,),
        seeds=_meter_files,
    ),
    Target(
        name="agent-file",
        covers=(AgentFile,),
        run=_loads(AgentFile, "agent.json"),
        refuses=(BadFile,),
        seeds=_agent_files,
    ),
    Target(
        name="bank-file",
        covers=(BankFile,),
        run=_loads(BankFile, "bank.json"),
        refuses=(BadFile,),
        seeds=lambda: [opening_deposits(material.chain().chain.genesis).to_json()],
    ),
    Target(
        name="manifest",
        covers=(Manifest,),
        run=_loads(Manifest, "testnet.json"),
        refuses=(BadFile,),
        seeds=_manifests,
    ),
    Target(
        name="reading",
        covers=(parse_reading,),
        run=_reading,
        refuses=(BadFile,),
        seeds=lambda: [
            reading_line(
                QuarterReading(
                    quarter=1,
                    load_wh=2,
                    pv_wh=3,
                    charged_wh=4,
                    discharged_wh=0,
                    loss_wh=1,
                    soc_wh=90,
                    import_wh=3,
                    export_wh=0,
                )
            )
        ],
    ),
    Target(
        name="dev-state",
        covers=(DumpedState.from_bytes, open_rows),
        run=_state,
        refuses=(BadState,),
        seeds=_states,
        bytes_max=128 << 10,
        seconds=1.0,
    ),
    Target(
        name="typed",
        covers=(
            genesis.parse_services,
            genesis.parse_settings,
            genesis.parse_time,
            wallet.parse_amount,
        ),
        run=_typed,
        refuses=(Unusable,),
        seeds=lambda: [
            b"soperator=0x" + b"ab" * 20 + b"\nexternal_market=0x" + b"cd" * 20,
            b"pMarket.retail=31000\nMarket.words=text",
            b"t2026-12-01T00:00:00Z",
            b"a12.5",
        ],
        bytes_max=8192,
    ),
    Target(
        name="founder",
        covers=(genesis.read_member,),
        run=_member,
        refuses=(BadFile, Unusable),
        seeds=_members,
    ),
    Target(
        name="candidate",
        covers=(members.read_candidate,),
        run=_candidate,
        refuses=(Unusable,),
        seeds=_candidates,
    ),
    Target(
        name="strict-json",
        covers=(strict_json.parse, strict_json.read_file),
        run=_json,
        refuses=(BadFile,),
        seeds=lambda: [b'{"a": [1, "text", null, true], "b": {}}'],
        bytes_max=8192,
    ),
)
