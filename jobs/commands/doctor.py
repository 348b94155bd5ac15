"""`doctor`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from jobs.commands.options import JsonOption
from jobs.observe.secrets import mask, masked

if TYPE_CHECKING:
    from jobs.doctor.finding import Finding

_FAILED = 4
_INDENT = " " * 6


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    warehouse: Annotated[
        Path | None,
        typer.Option(
            "--warehouse", "-w", envvar="MEMORYFLOW_WAREHOUSE", help="Look at this one, too."
        ),
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", help="Look at the models of this one, too.")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Really start Ray: ten seconds.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Is everything in place here? Exit code 0, or 4 where something would not work."""
    # Everything that is looked at is imported: seconds that `--help` need not wait for.
    from jobs.doctor.finding import Scope  # noqa: PLC0415
    from jobs.doctor.registry import diagnose  # noqa: PLC0415

    findings: list[Finding] = []
    for finding in diagnose(Scope(warehouse, pipeline, ray)):
        findings.append(finding)
        if not json_output:
            print(_lines(finding), flush=True)
    failed = any(finding.status == "fail" for finding in findings)
    if json_output:
        content = {"ok": not failed, "findings": [asdict(finding) for finding in findings]}
        print(orjson.dumps(masked(content), option=orjson.OPT_INDENT_2).decode())
    else:
        print(_summary(findings))
    if failed:
        raise typer.Exit(_FAILED)


def _lines(finding: "Finding") -> str:
    head = f"{finding.status:<5} {finding.check}: {finding.detail}"
    lines = [head, *([f"fix: {finding.fix}"] if finding.fix else [])]
    return mask(f"\n{_INDENT}".join("\n".join(lines).splitlines()))


def _summary(findings: "Sequence[Finding]") -> str:
    counts = Counter(finding.status for finding in findings)
    return f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} that will not work"
