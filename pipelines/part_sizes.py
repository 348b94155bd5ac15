"""Into how many parts a long conversation is cut; apart, for a driver that runs no step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PartSizes:
    """Into what a conversation is cut.

    Attributes:
        split_messages: longer ones are cut, if so many messages are in sessions to be built.
        parts: so many, or fewer where they would be ...
        least_chars: ... smaller than this; more where they would be ...
        most_chars: ... larger than this.
    """

    split_messages: int
    parts: int
    least_chars: int
    most_chars: int

    def count(self, chars: int) -> int:
        """How many parts so many characters make."""
        return max(1, -(-chars // self.most_chars), min(self.parts, chars // self.least_chars))
