"""What can be chosen to tell scenes, by `kind`."""

from typing import Annotated

from pydantic import Field

from operators.scenes.llm_titles import LlmTitles
from operators.scenes.portrait import ExtractiveTitles

AnyTitles = Annotated[ExtractiveTitles | LlmTitles, Field(discriminator="kind")]
