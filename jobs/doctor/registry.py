"""All checks, in the order they are told."""

from collections.abc import Iterator

from jobs.doctor.finding import Check, Finding, Scope
from jobs.doctor.machine import clock, cpu, disk, memory, open_files, temporary_folder
from jobs.doctor.models import embedder, language_model
from jobs.doctor.pipeline import pipeline
from jobs.doctor.ray_engine import leftovers, ray_environment, ray_starts, shared_memory
from jobs.doctor.software import extensions, optional_packages, python, required_packages
from jobs.doctor.warehouse import warehouse

CHECKS: tuple[Check, ...] = (
    *(python, required_packages, optional_packages, extensions),
    *(embedder, language_model),
    *(ray_environment, leftovers, shared_memory, ray_starts),
    *(disk, temporary_folder, memory, cpu, open_files, clock),
    *(warehouse, pipeline),
)


def diagnose(scope: Scope, checks: tuple[Check, ...] = CHECKS) -> Iterator[Finding]:
    """The findings of all checks, as they come.

    A check that fails itself is a finding: the others are needed all the more.
    """
    for check in checks:
        try:
            yield from check(scope)
        except Exception as error:  # Whatever is broken here is why somebody asks.
            yield Finding(
                check.__name__.replace("_", " "),
                "fail",
                f"could not be checked: {type(error).__name__}: {error}",
                "This may be a defect of memoryflow; see the other findings first.",
            )
