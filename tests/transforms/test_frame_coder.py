"""Frames cross processes whole, and are measured without being encoded."""

from apache_beam.coders.typecoders import registry

from schemas.tables import TABLES
from transforms.frame import Frame
from transforms.frame_coder import FrameCoder
from transforms.run_step import RunStep


def a_frame() -> Frame:
    return Frame({"facts": TABLES["facts"].empty()}, {}, {("t", "c", "", "s"): "x"}, {})


def test_a_frame_comes_back_as_it_was():
    coder = FrameCoder()
    assert coder.decode(coder.encode(a_frame())) == a_frame()


def test_beam_uses_it_for_frames():
    assert RunStep is not None  # Importing the transform registers it.
    assert isinstance(registry.get_coder(Frame), FrameCoder)


def test_measuring_does_not_encode(monkeypatch):
    monkeypatch.setattr(FrameCoder, "encode", None)
    assert FrameCoder().estimate_size(a_frame()) == 0
