"""Only a file read to its end, byte for byte, under this plan, need not be read again."""

from pathlib import Path

from jobs.batch.input_ledger import InputLedger, known_inputs
from transforms.sources.files import expand_inputs


def ledger(path: Path, fingerprint: str = "plan") -> InputLedger:
    return InputLedger.take(expand_inputs(str(path)), fingerprint)


def test_the_same_bytes_under_another_name_are_known(tmp_path: Path):
    first, copy = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text("{}\n")
    copy.write_text("{}\n")
    known = known_inputs(ledger(first).rows(bad=1))
    assert ledger(copy).all_known(known)
    assert ledger(copy).bad(known) == 1


def test_another_byte_or_another_plan_is_not_known(tmp_path: Path):
    file = tmp_path / "a.jsonl"
    file.write_text("{}\n")
    known = known_inputs(ledger(file).rows(bad=0))
    assert not ledger(file, "another plan").all_known(known)
    file.write_text("{}\n\n")
    assert not ledger(file).all_known(known)


def test_one_new_file_among_known_ones_is_enough(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text("{}\n")
    known = known_inputs(ledger(tmp_path).rows(bad=0))
    (tmp_path / "b.jsonl").write_text("[]\n")
    assert not ledger(tmp_path).all_known(known)


def test_a_ledger_that_knows_nothing_knows_nothing(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text("{}\n")
    assert not ledger(tmp_path).all_known({})


def test_a_file_that_changed_after_it_was_hashed_is_left_out(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text("{}\n")
    (tmp_path / "b.jsonl").write_text("[]\n")
    (tmp_path / "c.jsonl").write_text("[1]\n")
    taken = ledger(tmp_path)
    assert taken.changed() == []
    (tmp_path / "b.jsonl").write_text("[]\n[]\n")
    (tmp_path / "c.jsonl").unlink()
    assert taken.changed() == [str(tmp_path / "b.jsonl"), str(tmp_path / "c.jsonl")]
    rows = taken.rows(0, taken.changed()).to_pylist()
    assert [row["source"] for row in rows] == [str(tmp_path / "a.jsonl")]
