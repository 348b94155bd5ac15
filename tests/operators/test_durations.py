from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from operators.durations import Duration

ADAPTER = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("written", "hours"), [("6h", 6), ("30m", 0.5), ("2d", 48), ("1.5 h", 1.5), ("PT6H", 6)]
)
def test_short_and_iso_forms(written, hours):
    assert ADAPTER.validate_python(written) == timedelta(hours=hours)


@pytest.mark.parametrize("written", [6, 6.5, True, "6", "six hours", "0h", "-1h", ""])
def test_what_has_no_unit_or_no_length_is_refused(written):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(written)


def test_one_json_form_for_one_duration():
    forms = {ADAPTER.dump_json(ADAPTER.validate_python(form)) for form in ("6h", "360m", "PT6H")}
    assert len(forms) == 1
