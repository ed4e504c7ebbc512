"""Targets: certificates, settings, the genesis file of a home, invites."""

from typing import Final

from cli.decoders import material, scratch
from cli.decoders.target import Finding, Target
from crypto.errors import DecodeError, InvalidSignature
from crypto.node_certificate import check_node_certificate, node_certificate
from node import config, recovery
from node.errors import ConfigError
from node.home import load_genesis
from node.join import Host, Invite
from node.p2p.errors import CertificateError
from node.p2p.identity import check_certificate, make_certificate
from node.recovery_file import RecoveryFile
from vm.versions import FIRST_PROTOCOL

# Certificates.


def _certificate(data: bytes) -> bytes:
    """32 bytes of a node key, then a certificate: the node and the contract judge alike."""
    key, certificate = data[:32], data[32:]
    try:
        check_node_certificate(certificate, key)
    except (DecodeError, InvalidSignature):
        check_certificate(certificate, key)
        raise Finding("the node takes a certificate that the contract refuses") from None
    check_certificate(certificate, key)
    return key + certificate


def _certificates() -> list[bytes]:
    key = material.chain().community.nodes[0]
    if node_certificate(key) != make_certificate(key):
        raise Finding("one key has two certificates")
    return [key.public + node_certificate(key)]


# Settings and invites.


def _settings() -> list[bytes]:
    return [
        config.render(
            config.NodeConfig(
                name=name,
                p2p_listen=config.Address("127.0.0.1", 26_600),
                rpc_listen=config.Address("::1", 26_601),
                peers={"other one": config.Address("example.org", 7)},
            )
        ).encode()
        for name in ("lindenweg-4", 'Gr"üße\\')
    ]


def _config(data: bytes) -> None:
    """Comments are free; what was read, rendered and read again, is the same."""
    read = config.parse(data)
    if config.parse(config.render(read).encode()) != read:
        raise Finding("settings change when they are rendered and read again")


def _config_file(data: bytes) -> None:
    read = config.load(scratch.file("node.toml", data))
    if read != config.parse(data):
        raise Finding("a file of settings reads otherwise than its bytes")


def _endpoint(data: bytes) -> None:
    address = config.parse_address(data.decode("utf-8", "surrogateescape"), "endpoint")
    if config.parse_address(str(address), "endpoint") != address:
        raise Finding("an address changes when it is written and read again")


def _genesis_file(data: bytes) -> None:
    read = load_genesis(scratch.file("genesis.json", data))
    if load_genesis(scratch.file("genesis.json", read.to_json())) != read:
        raise Finding("a genesis file changes when it is written and read again")


def _invites() -> list[bytes]:
    dev = material.chain()
    hosts = tuple(
        Host(
            name=f"house {place}",
            endpoint=f"127.0.0.1:{26_600 + place}",
            node_key=key.public,
            certificate=node_certificate(key),
        )
        for place, key in enumerate(dev.community.nodes[:2])
    )
    genesis = dev.chain.genesis
    return [
        Invite(
            chain="dev",
            genesis_hash=genesis.hash,
            chain_id=genesis.chain_id,
            members=hosts[:count],
        ).to_json()
        for count in (1, 2)
    ]


def _invite_file(data: bytes) -> bytes:
    return Invite.load(scratch.file("invite.json", data)).to_json()


def _recovery() -> list[bytes]:
    """Of a community whose last two members go on with the chain; one of them has signed."""
    chain = material.chain().chain
    file = RecoveryFile(
        genesis_hash=chain.genesis.hash,
        header=chain.head,
        seal=material.seal(chain.height),
        epochs=tuple(material.hand_overs()),
        protocol_version=FIRST_PROTOCOL,
        state_root=chain.head.state_root,
        members=chain.genesis.members[:2],
    )
    return [file.to_json(), file.signed(material.chain().community.nodes[0]).to_json()]


def _recovery_file(data: bytes) -> bytes:
    return recovery.read_file(scratch.file("recovery.json", data)).to_json()


TARGETS: Final = (
    Target(
        name="certificate",
        covers=(check_node_certificate, check_certificate),
        run=_certificate,
        refuses=(CertificateError,),
        seeds=_certificates,
        bytes_max=1024,
    ),
    Target(
        name="config",
        covers=(config.parse,),
        run=_config,
        refuses=(ConfigError,),
        seeds=_settings,
        bytes_max=8192,
    ),
    Target(
        name="config-file",
        covers=(config.load,),
        run=_config_file,
        refuses=(ConfigError,),
        seeds=_settings,
        bytes_max=8192,
    ),
    Target(
        name="endpoint",
        covers=(config.parse_address,),
        run=_endpoint,
        refuses=(ConfigError,),
        seeds=lambda: [b"127.0.0.1:26600", b"[::1]:1", b"example.org:65535"],
        bytes_max=128,
    ),
    Target(
        name="genesis-file",
        covers=(load_genesis,),
        run=_genesis_file,
        refuses=(ConfigError,),
        seeds=lambda: [material.chain().chain.genesis.to_json()],
        bytes_max=32 << 10,
    ),
    Target(
        name="recovery",
        covers=(RecoveryFile.from_json,),
        run=lambda data: RecoveryFile.from_json(data).to_json(),
        refuses=(DecodeError,),
        seeds=_recovery,
        bytes_max=16 << 10,
    ),
    Target(
        name="recovery-file",
        covers=(recovery.read_file,),
        run=_recovery_file,
        refuses=(recovery.RecoveryRefused,),
        seeds=_recovery,
        bytes_max=16 << 10,
        memory_bytes=32 << 20,
    ),
    Target(
        name="invite",
        covers=(Invite.from_json,),
        run=lambda data: Invite.from_json(data).to_json(),
        refuses=(ConfigError,),
        seeds=_invites,
        bytes_max=8192,
    ),
    Target(
        name="invite-file",
        covers=(Invite.load,),
        run=_invite_file,
        refuses=(ConfigError,),
        seeds=_invites,
        bytes_max=8192,
    ),
)
