"""How Beam moves a frame between processes, and how large it takes it to be."""

import pickle

from apache_beam.coders import Coder
from apache_beam.coders.typecoders import registry

from transforms.frame import Frame

_BYTES_A_ROW = 400


class FrameCoder(Coder):
    """Pickles frames; Arrow tables inside are copied as they are.

    Beam samples the size of elements after every step. Without `estimate_size` it would
    encode the whole frame each time just to measure it.
    """

    def encode(self, value: Frame) -> bytes:
        """The frame as bytes."""
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> Frame:
        """The frame again."""
        frame = pickle.loads(encoded)
        assert isinstance(frame, Frame)
        return frame

    def estimate_size(self, value: Frame) -> int:
        """Bytes, guessed from the rows: Beam only reports it, and to add them up takes longer."""
        tables = (*value.tables.values(), *value.existing.values())
        return _BYTES_A_ROW * sum(table.num_rows for table in tables)

    def is_deterministic(self) -> bool:
        """Frames are never keys."""
        return False


def register_frame_coder() -> None:
    """Make Beam use it wherever frames are elements."""
    registry.register_coder(Frame, FrameCoder)
