"""Which runner the live dataflow runs on."""

from transforms.event_time.live_runner import LiveRunner, Windowing
from transforms.event_time.local_runner import LocalRunner
from transforms.event_time.portable_runner import PortableRunner

_PORTABLE = "portable:"


def open_live_runner(setting: str, windowing: Windowing) -> LiveRunner:
    """The runner for `local` or `portable:HOST:PORT`, not started yet.

    Raises:
        ValueError: the setting is neither.
    """
    if setting == "local":
        return LocalRunner(windowing)
    if setting.startswith(_PORTABLE) and setting.rpartition(":")[2].isdigit():
        return PortableRunner(windowing, setting.removeprefix(_PORTABLE))
    raise ValueError(f"runner: {setting!r} is neither 'local' nor 'portable:HOST:PORT'")
