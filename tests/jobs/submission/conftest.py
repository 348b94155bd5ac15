from pathlib import Path

import pytest

from jobs.submission import application


@pytest.fixture
def small_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file a package: copying all of memoryflow is tested by itself."""
    root = tmp_path / "application"
    for package in application.PACKAGES:
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").touch()
    monkeypatch.setattr(application, "_ROOT", root)
