"""The page: everything is in it, nothing of what it shows is markup, and it asks for no network."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from jobs.errors import UsageError
from jobs.report.activity import activity
from jobs.report.letters import short
from jobs.report.runs import run_of
from jobs.report.write import write_report
from tests.jobs.report.filled import CONVERSATION, EARLIER, HOSTILE, RUN, fill
from tests.transforms.warehouse.rows import make_rows
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.errors import WarehouseError

_VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """Tags, attributes and text; complains of tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"} and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def row(self, first: str) -> list[str]:
        return next(row for row in self.rows if row and row[0].strip() == first)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "warehouse"
    with open_warehouse(folder, threads=1) as warehouse:
        fill(warehouse)
    return folder


@pytest.fixture(scope="module")
def written(built):
    file = built.parent / "report.html"
    write_report(built, file)
    return file.read_text("utf-8")


@pytest.fixture(scope="module")
def page(written):
    return Page(written)


def test_hostile_text_is_text(page, written):
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert "<script" not in written.lower()
    shown = " ".join(HOSTILE.split())
    # Conversation, person, scene, dead letter, step, run: each of them is there, as text.
    assert page.text.count(shown) > 10
    assert CONVERSATION in page.text
    assert any(name == "title" or shown in value for _, name, value in page.attributes)


def test_nothing_is_fetched(page, written):
    links = [v for _, name, v in page.attributes if name in {"href", "src", "xlink:href", "data"}]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "@import" not in written
    assert not re.search(r"url\(", written)
    assert "default-src 'none'" in written


def test_control_characters_stay_out(written):
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", written)


def test_names_are_cut_and_shown_as_they_are():
    assert short("a" * 500) == "a" * 79 + "…"
    # A right-to-left override would turn what follows around.
    assert short("evil\u202egnp.exe\n next") == "evil�gnp.exe next"


def test_links_lead_somewhere(page):
    ids = {value for _, name, value in page.attributes if name == "id"}
    assert {v[1:] for _, name, v in page.attributes if name == "href"} <= ids


def test_the_run_adds_up(page):
    assert RUN in page.text
    assert "9 in = 6 out 1 filtered role_system 1 2 dead letters not_json 2 adds up" in page.text
    assert page.row("extract")[2:8] == ["2", "1", "6", "6", "–", "1.5 s"]
    assert "2.5 s" in page.text
    assert "4 calls, 1,000 tokens sent (0 cached), 50 received, $0.2500" in page.text


def test_growth_is_over_all_runs(page, written):
    assert "10 messages" in page.text
    assert 'points="0.0,72.0 1000.0,0.0"' in written
    assert [r[0] for r in page.rows if r and r[-1].strip() in {RUN, EARLIER}] == [
        "2024-03-02 12:00:00",
        "2024-03-01 12:00:00",
    ]


def test_plots(page):
    boxes = [v for tag, name, v in page.attributes if tag == "rect" and name == "class"]
    assert boxes.count("node open") == 2
    assert boxes.count("node") == 1
    assert boxes.count("cell") == 10
    assert "10 facts, 2 levels" in page.text


def test_sizes_of_tables(page):
    name, rows, files, size, _ = page.row("facts")
    assert (name.strip(), rows, files) == ("facts", "10", "1")
    assert size.endswith("KiB")


def test_an_earlier_run_and_none_of_that_id(built):
    with open_warehouse(built, read_only=True, threads=1) as warehouse:
        run = run_of(warehouse, EARLIER)
        assert run is not None
        assert (run["run_id"], run["read"]["in"], run["read"]["holds"]) == (EARLIER, 7, True)
        with pytest.raises(UsageError, match="no run 'x''"):
            run_of(warehouse, "x'")


@pytest.mark.slow
def test_an_empty_warehouse(tmp_path):
    with open_warehouse(tmp_path / "w", threads=1):
        pass
    write_report(tmp_path / "w", tmp_path / "r.html")

    page = Page((tmp_path / "r.html").read_text("utf-8"))
    for said in ("Nothing has been built", "No messages yet", "No scenes yet", "No trees yet"):
        assert said in page.text


def test_a_time_that_was_never_set(tmp_path):
    """The year 1, as many programs write it: its century begins before Python's time."""
    times = [datetime(1, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)]
    rows = [{"message_id": f"m{i}", "timestamp": t} for i, t in enumerate(times)]
    with open_warehouse(tmp_path / "w", threads=1) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=make_rows("messages", rows))])
        found = activity(warehouse)
    assert found is not None
    assert [box.title for box in found["columns"]] == ["1: 1 messages", "2000: 1 messages"]


def test_where_it_cannot_be_written(built, tmp_path):
    with pytest.raises(UsageError, match="folder that is there"):
        write_report(built, tmp_path / "nowhere" / "r.html")


def test_no_warehouse(tmp_path):
    with pytest.raises(WarehouseError):
        write_report(tmp_path / "w", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
