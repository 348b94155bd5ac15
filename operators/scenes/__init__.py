"""Scenes: groups of memories about one theme, found by clustering what is associated."""

from operators.scenes.leiden_scenes import LeidenScenes

__all__ = ["LeidenScenes"]
