"""`validate` and `explain`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jobs.commands.load_plan import load_plan
from jobs.commands.options import (
    JsonOption,
    LlmKeyOption,
    LlmModelOption,
    LlmUrlOption,
    PipelineArg,
)
from jobs.explain import explain as explain_plan
from jobs.validate import schema_text
from jobs.validate import validate as validate_pipeline
from operators.base import Cost
from operators.parse.base import ParseLimits
from pipelines.estimate import Embed, Sample
from pipelines.plan import Plan
from pipelines.sampling import sample_input
from transforms.sources.files import expand_inputs


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("validate")(validate)
    app.command("explain")(explain)


def validate(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="PIPELINE", help="A YAML file, or a shipped name.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of pipelines instead.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Check a pipeline; errors carry file, line and a suggestion."""
    if schema:
        if pipeline is not None:
            raise typer.BadParameter("give a PIPELINE to check or --schema, not both")
        print(schema_text(), end="")
        return
    if pipeline is None:
        raise typer.BadParameter("name a PIPELINE, or give --schema")
    result = validate_pipeline(pipeline)
    print(result.to_json() if json_output else result.to_text())
    raise typer.Exit(result.exit_code)


def explain(
    pipeline: PipelineArg,
    input_path: Annotated[
        str | None, typer.Option("--input", help="Estimate calls and tokens for this input.")
    ] = None,
    warehouse: Annotated[
        Path | None, typer.Option("--warehouse", "-w", help="Show what would be recomputed there.")
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="Format of the input.")
    ] = None,
    llm_url: LlmUrlOption = None,
    llm_model: LlmModelOption = None,
    llm_key_env: LlmKeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show the plan: steps, tables, where each runs, expected calls, what would be recomputed."""
    from jobs.warehouse_stats import open_stats  # noqa: PLC0415 - DuckDB, only where asked for

    plan = load_plan(pipeline, llm_url, llm_model, llm_key_env)
    sample = _sample(plan, input_path, format_name or plan.input.format) if input_path else None
    asks = any(step.cost is Cost.LLM for step in plan.steps)
    vectors = _embedder() if sample is not None and asks else None
    if warehouse is None:
        explanation = explain_plan(plan, sample, vectors=vectors)
    else:
        with open_stats(warehouse) as stats:
            explanation = explain_plan(plan, sample, stats, vectors)
    if json_output:
        print(explanation.to_json())
    else:
        explanation.print(Console())


def _embedder() -> Embed:
    """The real one: two thousand messages take it some seconds."""
    from jobs.local_models import LocalModels  # noqa: PLC0415 - loads the model

    return LocalModels().embed


def _sample(plan: Plan, input_path: str, format_name: str) -> Sample:
    """The first messages of the input and their share of its bytes."""
    limits = ParseLimits(max_text_chars=plan.input.max_text_chars)
    return sample_input(expand_inputs(input_path, format_name), format_name, limits)
