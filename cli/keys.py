"""`hearth keys`: a household's two key files, their backup in words, and their public parts."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from cli.errors import Unusable
from cli.output import print_fields, print_json
from cli.passwords import new_password, old_password
from cli.target import ENV_HOME, find_target, readable_errors
from crypto.keyfile import Cost
from crypto.keys import NodeKey, checksum_address
from crypto.keystore import HouseholdKeys, MeterKeys
from node.home import Home
from node.storage.vote_log import begin_log, distrust_log
from testnet.genesis import make_member, wallet_address
from testnet.layout import HouseholdLayout, MeterLayout
from testnet.strict_json import write_file
from vm.genesis import member_to_json

P = ParamSpec("P")
T = TypeVar("T")

COST: Cost = "moderate"
"""Of each guess at a password: 256 MiB and about a second."""
AGENTS = ("seller", "buyer")
METER_VALID_WINDOWS = 8 * 8_766
"""Eight years of hours: how long an electricity meter is used before it is verified anew."""
WORDS_PER_LINE = 6


@click.group()
def command() -> None:
    """Make, show and restore a household's keys."""


def _with_new_home(run: Callable[Concatenate[HouseholdLayout, P], T]) -> Callable[..., T]:
    """Give a command --home, where key files are made; the working directory otherwise."""

    @click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(),
        envvar=ENV_HOME,
        help="Folder for the key files; made if it is not there.",
    )
    @wraps(run)
    def wrapped(home: Path, *args: P.args, **kwargs: P.kwargs) -> T:
        with readable_errors():
            return run(HouseholdLayout(home), *args, **kwargs)

    return wrapped


def _with_home(run: Callable[Concatenate[HouseholdLayout, P], T]) -> Callable[..., T]:
    """Give a command --home and --node; without them the testnet in this folder is meant."""

    @click.option("--home", type=click.Path(path_type=Path), help="Folder of the key files.")
    @click.option("--node", metavar="NAME|INDEX", help="Household of the testnet in this folder.")
    @wraps(run)
    def wrapped(home: Path | None, node: str | None, *args: P.args, **kwargs: P.kwargs) -> T:
        with readable_errors():
            return run(HouseholdLayout(_find_home(home, node)), *args, **kwargs)

    return wrapped


def _find_home(home: Path | None, node: str | None) -> Path:
    """As `find_target`, but for a folder that holds keys and perhaps no node yet."""
    if home is not None:
        return home
    if node is None:
        if ENV_HOME in os.environ:
            return Path(os.environ[ENV_HOME])
        if HouseholdLayout(Path()).keys.exists():
            return Path()
    return find_target(None, node).home.path


@command.command()
@click.option(
    "--only",
    type=click.Choice(["household", "meter"]),
    help="One of the two files, where the other is made on another machine.",
)
@_with_new_home
def new(home: HouseholdLayout, *, only: str | None) -> None:
    r"""Make household.keys, meter/meter.keys and the 24 words that bring the household's back.

    Two passwords are asked for: the node never opens the meter's keys, nor the meter the
    household's. A key file is never overwritten.

    \b
    Example:
      hearth keys new --home ~/.hearth/home
    """
    wanted = {"household": home.keys, "meter": home.meter.keys}
    if only is not None:
        wanted = {only: wanted[only]}
    for path in wanted.values():
        if path.exists():
            raise Unusable(f"{path} exists; a key file is never overwritten", "choose another home")
    passwords = {kind: new_password(f"the {kind}'s keys") for kind in wanted}
    if "household" in wanted:
        household = HouseholdKeys.generate()
        save_household(home, household, passwords["household"])
        begin_log(Home(home.home).votes)
        print_fields(f"{home.keys} is written", dict(public_parts(household)))
        print_words(household)
    if "meter" in wanted:
        meter = MeterKeys.generate()
        _save_meter(home.meter, meter, passwords["meter"])
        print_fields(f"{home.meter.keys} is written", dict(meter_parts(meter)))
        click.echo("A meter has no words: a lost meter is replaced and certified anew.")


def save_household(home: HouseholdLayout, keys: HouseholdKeys, password: str) -> None:
    """Write the household's key file; its folder is made for the owner alone."""
    home.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys.save(home.keys, password, cost=COST)


def _save_meter(home: MeterLayout, keys: MeterKeys, password: str) -> None:
    home.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys.save(home.keys, password, cost=COST)


def print_words(keys: HouseholdKeys) -> None:
    """Print the backup, and how it is kept."""
    words = keys.words().split()
    click.secho("\nThe 24 words: they are all keys of this household", bold=True)
    for start in range(0, len(words), WORDS_PER_LINE):
        numbered = enumerate(words[start : start + WORDS_PER_LINE], start + 1)
        click.echo("  " + "".join(f"{place:>2} {word:<10}" for place, word in numbered).rstrip())
    click.echo(
        "\n"
        "  Write them on paper, in this order, and keep the paper away from this machine.\n"
        "  Whoever has them can spend the household's money and vote in its name.\n"
        "  Without them and without the key file nobody can bring the keys back.\n"
        "  Try the paper: hearth keys restore --home trial, and delete the folder after\n"
    )


def public_parts(keys: HouseholdKeys) -> dict[str, str]:
    """Return what everybody may know of a household's keys."""
    return {
        "account": checksum_address(keys.account.address),
        "node_key": "0x" + keys.node.public.hex(),
        "ring_key": "0x" + NodeKey.from_seed(keys.ring_seed).public.hex(),
        "wallet": "0x" + wallet_address(keys).hex(),
        **{name: checksum_address(keys.agent(name).address) for name in AGENTS},
    }


def meter_parts(keys: MeterKeys) -> dict[str, str]:
    """Return what everybody may know of a meter's keys."""
    return {
        "meter": checksum_address(keys.account.address),
        "meter_ring_key": "0x" + NodeKey.from_seed(keys.ring_seed).public.hex(),
    }


def _open_household(home: HouseholdLayout) -> HouseholdKeys:
    return HouseholdKeys.load(home.keys, old_password(home.keys))


def _open_meter(home: HouseholdLayout) -> MeterKeys:
    return MeterKeys.load(home.meter.keys, old_password(home.meter.keys))


@command.command()
@click.option("--meter", is_flag=True, help="Of the meter's keys instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@_with_home
def show(home: HouseholdLayout, *, meter: bool, as_json: bool) -> None:
    r"""Show the public parts of the keys: accounts, node key, ring key, wallet.

    \b
    Examples:
      hearth keys show --home ~/.hearth/home
      hearth keys show --node h39 --meter --json
    """
    path = home.meter.keys if meter else home.keys
    parts = meter_parts(_open_meter(home)) if meter else public_parts(_open_household(home))
    print_json(parts) if as_json else print_fields(f"Public parts of {path}", dict(parts))


@command.command()
@_with_home
def words(home: HouseholdLayout) -> None:
    r"""Print the 24 words again. Whoever sees them has all keys of the household.

    \b
    Example:
      hearth keys words --home ~/.hearth/home
    """
    print_words(_open_household(home))


@command.command()
@_with_new_home
def restore(home: HouseholdLayout) -> None:
    r"""Make household.keys anew from the 24 words, with a new password.

    \b
    Example:
      hearth keys restore --home ~/.hearth/home
    """
    if home.keys.exists():
        raise Unusable(
            f"{home.keys} exists; a key file is never overwritten", "choose another home"
        )
    keys = HouseholdKeys.from_words(click.prompt("The 24 words", hide_input=True, err=True))
    distrust_log(Home(home.home).votes)
    save_household(home, keys, new_password("the household's keys"))
    print_fields(f"{home.keys} is written", dict(public_parts(keys)))


@command.command()
@click.option("--name", required=True, help="The household's name on this chain.")
@click.option("--endpoint", required=True, metavar="HOST:PORT", help="Where its node listens.")
@click.option("--meter-id", required=True, help="The number on the meter.")
@click.option(
    "--meter-until",
    type=click.IntRange(0),
    default=METER_VALID_WINDOWS,
    show_default=True,
    help="Last window of the meter's certificate.",
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write; NAME.member.json.")
@_with_home
def member(
    home: HouseholdLayout,
    *,
    name: str,
    endpoint: str,
    meter_id: str,
    meter_until: int,
    out: Path | None,
) -> None:
    r"""Write the public record with which a household founds a chain (`hearth genesis new`).

    It holds public keys, proofs and the node's certificate: nothing secret.

    \b
    Example:
      hearth keys member --home ~/.hearth/home --name lindenweg-4 \
        --endpoint 192.0.2.7:26600 --meter-id 1EMH0012345678
    """
    plain = make_member(
        name=name, endpoint=endpoint, household=_open_household(home), meter=_open_meter(home)
    )
    meter = replace(plain.meter, meter_id=meter_id, valid_until_window=meter_until)
    record = member_to_json(replace(plain, meter=meter))
    path = out or Path(Path(name).name + ".member.json")
    if path.exists():
        raise Unusable(f"{path} exists", "name another file with --out")
    write_file(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    click.echo(f"{path}: give it to whoever runs `hearth genesis new`")
