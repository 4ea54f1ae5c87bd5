"""``gpucnn doctor``."""

from __future__ import annotations

import click

from gpucnn.cli.output import device_option, json_option, print_json, wrapped


@click.command()
@device_option
@json_option
def command(device: int | None, as_json: bool) -> None:
    """Report what is installed, which devices respond, and which backends work here, or why not.

    \b
    Example:
      gpucnn doctor
    """
    from gpucnn.doctor import examine

    findings = examine(device or 0)
    if as_json:
        print_json({finding.subject: finding.as_json() for finding in findings})
        return
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        beginning = f"{finding.subject:<{width}}  {finding.mark}  "
        click.echo(wrapped(beginning + finding.text, len(beginning)))
