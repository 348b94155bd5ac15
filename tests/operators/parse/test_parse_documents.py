from collections.abc import Iterator

import pytest

from operators.parse.documents import BadItem, Item, ItemTooLargeError, iter_items


def items(data: bytes, chunk: int = 7, **limits: int) -> list[Item | BadItem]:
    def chunks() -> Iterator[bytes]:
        yield from (data[i : i + chunk] for i in range(0, len(data), chunk))

    return list(iter_items(chunks(), **limits))


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"", []),
        (b" \n", []),
        (b"[]", []),
        (b"[ ]\n", []),
        (b'\xef\xbb\xbf[{"a": "x]y\\"["}, [1, 2]]', [{"a": 'x]y"['}, [1, 2]]),
        (b'{"a": 1}\n\n{"a": 2} {"a": 3}', [{"a": 1}, {"a": 2}, {"a": 3}]),
        ('["𝄞é"]'.encode(), ["𝄞é"]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_items_of_arrays_and_of_values_in_a_row(
    data: bytes, values: list[object], chunk: int
) -> None:
    assert [i.value for i in items(data, chunk) if isinstance(i, Item)] == values


@pytest.mark.parametrize(
    ("data", "good", "detail"),
    [
        (b'[{"a": 1}, {"a": oops}, {"a": 3}]', 1, "item 2 is not JSON"),
        (b'[{"a": 1}, {"a', 1, "item 2 is not JSON"),
        (b'[{"a": 1},', 1, "the document ends inside the array: is the file complete?"),
        (b'[{"a": 1} {"a": 2}]', 1, "no comma between two items"),
        (b"[NaN]", 0, "NaN is not JSON"),
        (b"[1] 2", 2, ""),
        (b"[" * 5000, 0, "item 1"),
    ],
)
def test_a_syntax_error_ends_a_document_with_one_bad_item(
    data: bytes, good: int, detail: str
) -> None:
    *before, last = items(data)
    if not detail:
        before, last = [*before, last], None
    assert sum(isinstance(i, Item) for i in before) == good
    if last is not None:
        assert isinstance(last, BadItem)
        assert detail in last.detail


def test_a_deep_item_is_refused_and_the_next_is_read() -> None:
    deep = b"[" * 200 + b"]" * 200
    bad, good = items(b"[" + deep + b', {"a": 1}]')
    assert isinstance(bad, BadItem)
    assert (bad.reason, bad.raw) == ("bad_value", deep)
    assert isinstance(good, Item)


def test_an_item_over_the_limit_raises() -> None:
    with pytest.raises(ItemTooLargeError, match="item 2 is larger than 50 bytes"):
        items(b'[1, "' + b"x" * 200 + b'"]', max_item_bytes=50)
