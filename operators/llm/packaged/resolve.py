"""From the name of a model in a pipeline to the weights that an engine loads."""

from operators.llm.packaged.build_smollm2 import weights_folder
from operators.llm.spec import VllmLlm

SMOLLM2 = "smollm2-135m-instruct"
"""A chat model small enough for a CPU: it proves the plumbing, its answers are poor."""


def weights_of(llm: VllmLlm) -> str:
    """Folder of the packaged model of that name, built if need be; any other name as it is."""
    return str(weights_folder()) if llm.model == SMOLLM2 else llm.model
