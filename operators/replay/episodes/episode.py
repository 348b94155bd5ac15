"""An episode: what a conversation says about one topic, as messages."""

from dataclasses import dataclass

from operators.base import Vectors


@dataclass(frozen=True)
class ReplayEpisode:
    """Messages that are replayed together; a pure function of the log.

    Attributes:
        tenant: of the conversation.
        conversation_id: of the conversation.
        episode_id: content hash of the messages (ids and contents) and of the patch messages.
        message_ids: in the conversation's order.
        patch_message_ids: of the windows nearest to the centre, in the conversation's order.
        centroid: (384,), float32, unit length: where a question is compared.
    """

    tenant: str
    conversation_id: str
    episode_id: str
    message_ids: tuple[str, ...]
    patch_message_ids: tuple[str, ...]
    centroid: Vectors
