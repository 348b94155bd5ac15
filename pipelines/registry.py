"""Which operators a pipeline may name: the built-in ones, and those of installed packages.

A package offers an operator through the entry point group `memoryflow.operators`. One
that cannot be imported, or takes a name that is taken, is refused when pipelines are
read, with its package named: what a name means must not depend on import order.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from operators.base import Key, Operator
from pipelines.errors import PipelineError
from schemas.tables import TABLES

Operators = Mapping[str, type[Operator]]

GROUP = "memoryflow.operators"

BUILT_IN: tuple[str, ...] = (
    "operators.gap_sessions:GapSessions",
    "operators.two_turn_cells:TwoTurnCells",
    "operators.extract.rule_facts:RuleFacts",
    "operators.extract.llm_facts:LlmFacts",
    "operators.minilm_embed:MiniLmEmbed",
    "operators.static_embed:StaticEmbed",
    "operators.episodes.extractive_episodes:ExtractiveEpisodes",
    "operators.episodes.llm_episodes:LlmEpisodes",
    "operators.verdicts.llm_verdicts:LlmVerdicts",
    "operators.near_duplicates:NearDuplicates",
    "operators.supersession:Supersession",
    "operators.entity_index:EntityIndex",
    "operators.associations.gmm_associations:GmmAssociations",
    "operators.relations:TypedRelations",
    "operators.scenes:LeidenScenes",
    "operators.personas.rule_personas:RulePersonas",
    "operators.reflection.persona_reflection:PersonaReflection",
    "operators.memtree:MemTreeIndex",
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("id",)  # Step keys beside the parameters of the operator.


def operators(
    built_in: Iterable[str | type[Operator]] = BUILT_IN,
    plugins: Iterable[EntryPoint] | None = None,
) -> Operators:
    """All operators by name.

    Args:
        built_in: import paths `module:Class`, or classes.
        plugins: entry points; those of the installed packages unless given.

    Raises:
        PipelineError: an operator cannot be imported, is declared wrongly or its name is taken.
    """
    found: dict[str, type[Operator]] = {}
    origins: dict[str, str] = {}
    if plugins is None:
        plugins = entry_points(group=GROUP)
    sources: list[tuple[str, Callable[[], object]]] = [
        (f"built-in operator {item}", lambda item=item: _import(item)) for item in built_in
    ]
    # Sorted, so that of two packages that clash the same one is blamed everywhere.
    ordered = sorted(plugins, key=lambda p: (p.name, p.value))
    sources += [(_plugin_origin(plugin), plugin.load) for plugin in ordered]
    for origin, load in sources:
        operator = _load(origin, load)
        name = _checked_name(origin, operator)
        if name in found:
            raise PipelineError.without_position(
                origin,
                f"the operator name '{name}' is already taken by {origins[name]}",
                "Rename one of them, or uninstall its package.",
            )
        found[name], origins[name] = operator, origin
    return MappingProxyType(found)


def _import(item: str | type[Operator]) -> object:
    if not isinstance(item, str):
        return item
    module, _, name = item.partition(":")
    return getattr(import_module(module), name)


def _plugin_origin(plugin: EntryPoint) -> str:
    package = plugin.dist.name if plugin.dist else "an unknown package"
    return f"plugin '{plugin.name}' ({plugin.value}) of {package}"


def _load(origin: str, load: Callable[[], object]) -> type[Operator]:
    try:
        loaded = load()
    except Exception as error:  # A plugin's import may raise anything at all.
        raise PipelineError.without_position(
            origin,
            f"cannot be imported: {type(error).__name__}: {error}",
            "Repair, upgrade or uninstall its package.",
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Operator)):
        raise PipelineError.without_position(
            origin, f"is not a subclass of operators.base.Operator but {loaded!r}"
        )
    return loaded


def _checked_name(origin: str, operator: type[Operator]) -> str:
    """The operator's name; raises where the class breaks the rules of `operators.base`."""
    name: Any = operator.model_fields["operator"].default
    faults: list[str] = []
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append(
            "needs `operator: Literal['a_name'] = 'a_name'` in lower case with underscores"
        )
    if not isinstance(getattr(operator, "KEY", None), Key):
        faults.append("needs KEY, one of " + ", ".join(f"Key.{key.name}" for key in Key))
    faults += [
        f"the parameter name '{field}' is reserved"
        for field in _RESERVED
        if field in operator.model_fields
    ]
    unknown = [ref for ref in (*operator.READS, *operator.WRITES) if not _known(ref)]
    faults += [f"'{ref}' is not a table or column of schemas.tables" for ref in unknown]
    if not operator.WRITES:
        faults.append("needs WRITES: a step that writes nothing has no effect")
    faults += [
        f"must not write the bookkeeping table '{ref}'"
        for ref in operator.WRITES
        if ref not in unknown and TABLES[ref.partition(".")[0]].bookkeeping
    ]
    if faults:
        raise PipelineError.without_position(origin, "; ".join(faults))
    return str(name)


def _known(ref: str) -> bool:
    table, _, column = ref.partition(".")
    if table not in TABLES:
        return False
    return not column or any(c.name == column for c in TABLES[table].columns)
