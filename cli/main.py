"""The `hearth` command. Subcommands are imported when they are called, so that help is instant."""

import importlib
import importlib.metadata
from typing import final

import click

_COMMANDS = {
    "agent": ("cli.agent", "Run a household's agents."),
    "backup": ("cli.backup", "Back up this household's node while it runs."),
    "bench": ("cli.bench", "Measure, and print the figures of docs/performance.md."),
    "chain": ("cli.chain", "Look at blocks, transactions, events and proofs."),
    "contract": ("cli.contract", "Compile, deploy and call contracts; print interfaces."),
    "fuzz": ("cli.fuzz", "Look for a schedule that breaks the consensus."),
    "genesis": ("cli.genesis", "Make and check the file that all nodes share."),
    "keys": ("cli.keys", "Make, show and restore a household's keys."),
    "market": ("cli.market", "Watch the market and its windows."),
    "members": ("cli.members", "List members, propose and vote."),
    "meters": ("cli.meters", "Certify, audit, run and verify meters."),
    "node": ("cli.node", "Run this household's node and ask how it is."),
    "ramp": ("cli.ramp", "Money in and out, attested by the members."),
    "recover": ("cli.recover", "Go on without members, where no quorum is left."),
    "restore": ("cli.restore", "Make a home of a backup."),
    "testnet": ("cli.testnet", "A whole neighbourhood on this machine."),
    "vectors": ("cli.vectors", "Judge this build by test vectors that others made."),
    "wallet": ("cli.wallet", "Balances and transfers."),
}


@final
class _LazyGroup(click.Group):
    """Knows names and one-line helps without importing what is behind them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command = module.command
        assert isinstance(command, click.Command)
        _keep_lines(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in sorted(_COMMANDS)])


def _keep_lines(command: click.Command) -> None:
    """Give click its mark for "do not wrap", a backspace, where a raw docstring spells it."""
    command.help = (command.help or "").replace("\\b\n", "\b\n") or None
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _keep_lines(each)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
    """Say the versions (`vm.versions`) and the backend of the curve, which is only then loaded."""
    if not value or ctx.resilient_parsing:
        return
    version = importlib.metadata.version("hearth")
    try:
        backend = importlib.import_module("crypto.curve").BACKEND
    except ImportError as error:
        raise click.UsageError(str(error)) from None
    known = importlib.import_module("vm.versions")
    protocols = ", ".join(map(str, known.SUPPORTED_PROTOCOLS))
    click.echo(
        f"hearth, version {version}, protocol {protocols}, wire {known.WIRE_VERSION}, "
        f"storage {known.STORAGE_VERSION}, curve backend {backend}"
    )
    ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and the backend of the curve, and exit.",
)
def main() -> None:
    r"""Trade electricity with your neighbours on a chain that you run together.

    \b
    Start here:
      hearth testnet up -n 4        four households on this machine
      hearth wallet balance         who has what
      hearth market watch           the market hour, live
    """


_keep_lines(main)
