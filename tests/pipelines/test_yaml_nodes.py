import time

import pytest

from pipelines.errors import PipelineError
from pipelines.yaml_nodes import MAX_TEXT, Mark, parse


def _error(text: str) -> str:
    with pytest.raises(PipelineError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


def _problems(text: str) -> list[str]:
    return [str(problem) for problem in parse(text, "p.yaml").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-07", -7),
        ("1e-3", 0.001),
        ("2.", 2.0),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("2024-05-01", "2024-05-01"),
        ("12:30", "12:30"),
        ("0x10", "0x10"),
        (".inf", ".inf"),
        ("~", None),
        ("null", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("[a, 2]", ["a", 2]),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = parse(f"key: {text}", "p.yaml").value["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_and_values_keep_their_position() -> None:
    document = parse("a: 1\nb:\n  - x: 2\n", "p.yaml")
    assert document.keys["b", 0, "x"] == Mark(3, 5)
    assert document.values["b", 0, "x"] == Mark(3, 8)
    assert document.problem(("b", 0, "missing"), "m").line == 3


def test_an_empty_file_is_none() -> None:
    assert parse("# nothing\n", "p.yaml").value is None


def test_duplicate_keys_are_refused_and_all_reported() -> None:
    assert _problems("a: 1\nb: 2\na: 3\nb: 4\n") == [
        "p.yaml:3:1: a: 'a' is given twice (first on line 1). Keep one.",
        "p.yaml:4:1: b: 'b' is given twice (first on line 2). Keep one.",
    ]


def test_keys_must_be_text() -> None:
    assert _problems("1: a\n") == ["p.yaml:1:1: keys must be text. Quote the key."]
    assert _problems("? [a]\n: b\n") == ["p.yaml:1:3: keys must be text. Quote the key."]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!mine", "!!timestamp"])
def test_tags_are_refused(tag: str) -> None:
    problems = _problems(f"a: {tag} x\nb: {tag} [x]\n")
    assert problems[0] == f"p.yaml:1:4: a: the tag '{tag}' is not allowed. Write a plain value."
    assert problems[1].startswith("p.yaml:2:4: b: the tag")


def test_scalars_that_lie_about_their_tag_are_refused() -> None:
    assert _problems("a: !!int x\n") == ["p.yaml:1:4: a: 'x' is not a usable int"]


def test_an_overlong_number_is_refused() -> None:
    assert "is not a usable int" in _problems("a: " + "9" * 5000)[0]


def test_anchors_and_merge_keys() -> None:
    text = "x: &base {a: 1, b: 2}\ny:\n  <<: *base\n  b: 3\nz: *base\n"
    assert parse(text, "p.yaml").value == {
        "x": {"a": 1, "b": 2},
        "y": {"a": 1, "b": 3},
        "z": {"a": 1, "b": 2},
    }
    assert parse(text, "p.yaml").values["y", "b"] == Mark(4, 6)


def test_of_several_merged_mappings_the_first_wins() -> None:
    text = "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz: {<<: [*x, *y]}\n"
    assert parse(text, "p.yaml").value["z"] == {"a": 1, "b": 2}


def test_merging_something_else_is_refused() -> None:
    assert _problems("x: &x 1\ny: {<<: *x}\n")[0].endswith(
        "'<<' merges mappings only. Refer to one: '<<: *name'."
    )


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.process_time()
    assert "more than 20000 values once aliases are expanded" in _error("\n".join(lines))
    assert time.process_time() - started < 5


def test_aliases_of_a_long_text_are_refused_before_they_are_copied() -> None:
    """2,500 of them are within the limit of values, and make a gigabyte of JSON."""
    long = "A" * 190_000
    text = f'a: &a "{long}"\nb: [{", ".join(["*a"] * 2_500)}]\n'
    assert (
        _error(text)
        == f"p.yaml:1:4: b[4]: more than {MAX_TEXT} characters once aliases are expanded"
    )
    maps = ", ".join(["{*a : 1}"] * 2_500)
    assert f"more than {MAX_TEXT} characters" in _error(f'a: &a "{long}"\nb: [{maps}]\n')
    few = ", ".join(["*a"] * 3)
    assert parse(f'a: &a "{long}"\nb: [{few}]\n', "p.yaml").value["b"] == [long] * 3


@pytest.mark.parametrize(
    "text",
    [
        "a: !{long} 1\n",
        "a: *{long}\n",
        "? {long}\n: 1\n? {long}\n: 2\n",
        "? {long}\n: !x 1\n",
        "a: 1\n? {long}\n: {{b: {{c: !x 1}}}}\n",
    ],
)
def test_a_long_value_is_not_said_in_full(text: str) -> None:
    with pytest.raises(PipelineError) as caught:
        raise PipelineError(parse(text.format(long="A" * 100_000), "p.yaml").problems)
    (problem,) = caught.value.problems
    assert "..." in str(problem)
    assert len(str(problem)) < 600


def test_a_value_that_contains_itself_is_refused() -> None:
    assert _error("a: &a [*a]\n") == (
        "p.yaml:1:4: a[0]: an alias refers to the value that contains it"
    )
    assert "an alias refers to the value that contains it" in _error("a: &a {<<: *a}\n")


def test_deep_nesting_is_refused() -> None:
    assert "nested more than 60 levels deep" in _error("a: " + "[" * 100 + "]" * 100)
    assert "nested too deeply" in _error("[" * 100_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2\n", "p.yaml:2:2: not valid YAML: while parsing a flow sequence"),
        ("a: b: c\n", "p.yaml:1:5: not valid YAML: mapping values are not allowed here. Check"),
        ("a:\n\tb: 1\n", "p.yaml:2:1: not valid YAML: while scanning for the next token"),
        ("a: 1\n---\nb: 2\n", "Keep one pipeline per file"),
        ("a: *nowhere\n", "p.yaml:1:4: not valid YAML: found undefined alias 'nowhere'"),
        ("a: 1\nb: \x07\n", "p.yaml:2:4: not valid YAML: character U+0007 is not allowed"),
    ],
)
def test_syntax_errors_have_a_position(text: str, message: str) -> None:
    assert message in _error(text)


def test_tabs_are_named() -> None:
    assert _error("a:\n\tb: 1\n").endswith("Indent with spaces, not tabs.")
