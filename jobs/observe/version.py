"""The version of memoryflow that is installed."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """As the package says; `unknown` where it runs from a folder that is not installed."""
    try:
        return version("memoryflow")
    except PackageNotFoundError:
        return "unknown"
