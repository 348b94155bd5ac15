"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.inert_text import inert


def as_stored(text: str | None) -> str | None:
    """An id as the warehouse holds it, from the id as it stands in the log."""
    return None if text is None else inert(text)


PipelineArg = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="A YAML file, or the name of a shipped pipeline.")
]
WarehouseOption = Annotated[
    Path,
    typer.Option(
        "--warehouse", "-w", envvar="MEMORYFLOW_WAREHOUSE", help="Folder of the warehouse."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
ConversationOption = Annotated[
    str | None,
    typer.Option("--conversation", help="Only this conversation.", callback=as_stored),
]
ErasedConversationOption = Annotated[
    str | None,
    typer.Option(
        "--conversation",
        help="Erase this whole conversation; with --message or --person, only what is in it.",
        callback=as_stored,
    ),
]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Only this tenant.", callback=as_stored)
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Parallel workers; default: CPUs.")
]
AddressOption = Annotated[
    str | None, typer.Option("--address", help="Ray cluster; default: a local Ray.")
]
LlmUrlOption = Annotated[
    str | None,
    typer.Option("--llm-url", help="Ask this OpenAI-compatible endpoint (http://HOST:PORT/v1)."),
]
LlmModelOption = Annotated[
    str | None, typer.Option("--llm-model", help="Name of the model at --llm-url.")
]
LlmKeyOption = Annotated[
    str | None,
    typer.Option("--llm-key-env", help="Environment variable with the key for --llm-url."),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", min=0, help="Stop when the language model has used so many."),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", min=0, help="Stop once it has cost so many US dollars (`price`)."),
]
LogFormatOption = Annotated[
    str,
    typer.Option(
        "--log-format",
        envvar="MEMORYFLOW_LOG_FORMAT",
        help="Lines on stderr: text, or json: one object each, with the id of the run.",
    ),
]
EventsOption = Annotated[
    Path | None,
    typer.Option("--events", help="Append OpenLineage events of the run to this file."),
]

DEFAULT_WAREHOUSE = Path("memory")
