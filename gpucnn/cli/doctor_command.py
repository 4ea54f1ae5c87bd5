"""``gpucnn doctor``."""

from __future__ import annotations

import click

from gpucnn.cli.output import device_option, json_option, print_json, table


@click.command()
@device_option
@json_option
def command(device: int | None, as_json: bool) -> None:
    """Tell what is installed, which devices answer, and which backends work here, or why not.

    \b
    Example:
      gpucnn doctor
    """
    from gpucnn.doctor import examine

    findings = examine(device or 0)
    if as_json:
        print_json({finding.subject: finding.as_json() for finding in findings})
        return
    click.echo(
        table(
            ["", "", ""],
            [[f.subject, f.mark, f.text] for f in findings],
            left=(0, 1, 2),
        ).split("\n", 2)[2]
    )
