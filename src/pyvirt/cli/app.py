# SPDX-License-Identifier: LGPL-2.1-or-later
"""The group of commands, and how all of them report errors."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

import click

import pyvirt
from pyvirt.cli.events import events
from pyvirt.cli.stats import stats


class Commands(click.Group):
    """A group that exits successfully if the reader of its output closes the pipe."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a closed pipe is not an error."""
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # click would exit with code 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return result


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pyvirt.__version__, prog_name="pyvirt")
def cli() -> None:
    """Show statistics and events of the domains that libvirt manages.

    URI is a libvirt connection URI such as qemu:///system or test:///default.  By default it is the value of
    LIBVIRT_DEFAULT_URI, or the driver that libvirt finds on this machine.
    """


cli.add_command(events)
cli.add_command(stats)


def run() -> int:
    """Run the command line and return its exit code."""
    if sys.stdout is None:  # the shell closed it, with ">&-"
        with open(os.devnull, "w") as sys.stdout:
            return run()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that the terminal cannot show
    try:
        code = cli.main(prog_name="pyvirt", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except pyvirt.Error as error:
        click.echo(f"pyvirt: {error}", err=True)
        return 1
    except OSError as error:
        # Otherwise Python would print the error again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"pyvirt: {error}", err=True)
        return 1
