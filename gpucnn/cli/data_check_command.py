"""``gpucnn data check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.data_source import data_options, source_argument
from gpucnn.cli.output import json_option, print_json, set_option, table
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.data.data_check import Finding, Report

_MOST_FINDINGS = 50
_MOST_IMAGES = 5


@click.command()
@source_argument
@set_option
@json_option
def command(source: Path, overrides: tuple[str, ...], as_json: bool) -> int:
    """Read all data and list what is damaged or odd, with a table by class.

    The data is that of a config, a data set by name, or what lies at a path: a folder of images, an
    npz, csv, parquet or packed file, the folder of a published data set. Damaged is what training
    refuses: files that cannot be decoded, classes that are empty or in one split only. Odd are
    sizes, colour modes and extensions that differ, tiny classes, images of one colour, and images
    that occur twice. Two images are the same if all their pixels are, whatever the files are.

    The exit status is 0 if nothing is damaged, and 1 if something is.

    \b
    Example:
      gpucnn data check photos
      gpucnn data check configs/cifar10_resnet9.toml --set data.root=FOLDER --json
      gpucnn data check mnist --set data.root=FOLDER
    """
    from gpucnn.data.data_check import check_data

    report = check_data(data_options(source, overrides))
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)
    return 1 if report.damaged else 0


def _show(report: Report) -> None:
    _show_findings("damaged", report.damaged, len(report.damaged))
    _show_findings("odd", report.odd, _MOST_FINDINGS)
    if report.counts:
        click.echo(_class_table(report))
        click.echo()
    total = sum(int(counts.sum()) for counts in report.counts.values())
    click.echo(
        f"{total:,} intact images; {len(report.damaged):,} findings of damage, "
        f"{len(report.odd):,} of what is odd"
    )


def _show_findings(title: str, findings: Sequence[Finding], most: int) -> None:
    """Findings, of each kind ``most`` at most."""
    if not findings:
        return
    click.echo(f"{title}:")
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.kind] += 1
        if seen[finding.kind] <= most:
            click.echo(f"  {finding.text}{_listed(finding.images)}")
    for kind, count in seen.items():
        if count > most:
            click.echo(f"  and {count - most:,} more: {kind} (--json lists all)")
    click.echo()


def _listed(images: Sequence[str]) -> str:
    if not images:
        return ""
    rest = len(images) - _MOST_IMAGES
    names = ", ".join(map(shown, images[:_MOST_IMAGES]))
    return f": {names}" + (f" and {rest:,} more (--json lists all)" if rest > 0 else "")


def _class_table(report: Report) -> str:
    splits = list(report.counts)
    rows: Iterable[list[object]] = (
        [shown(name), *(f"{report.counts[split][label]:,}" for split in splits)]
        for label, name in enumerate(report.classes)
    )
    totals = ["total", *(f"{report.counts[split].sum():,}" for split in splits)]
    return table(["class", *splits], [*rows, totals])
