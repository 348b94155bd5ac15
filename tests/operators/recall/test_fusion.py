import numpy as np
import pytest

from operators.recall.fitting import Example, fit_weights
from operators.recall.fusion import (
    CHANNELS,
    CHANNELS_OF,
    FEATURES,
    LED_TO,
    OFF_BY_DEFAULT,
    features_of,
    fuse,
    load_weights,
    shortness,
)


@pytest.mark.parametrize("name", sorted(CHANNELS_OF))
def test_weights_cover_their_channels(name: str) -> None:
    assert tuple(load_weights(name)) == features_of(CHANNELS_OF[name])


def test_channels_off_by_default_have_no_default_weights() -> None:
    assert not set(load_weights()) & set(features_of(OFF_BY_DEFAULT))
    assert not CHANNELS_OF["seeds"] & LED_TO
    assert features_of(CHANNELS) == FEATURES


def test_shortness_falls_with_length() -> None:
    assert shortness(0) == 1
    assert shortness(500) == 0.5
    assert shortness(100) > shortness(1000)


def test_score_is_the_sum_of_the_channels_left_on() -> None:
    features = {name: np.array([1.0, 0.5]) for name in FEATURES}
    weights = dict.fromkeys(FEATURES, (1.0, 1.0))
    total, shares = fuse(features, weights, 100.0)
    assert total.tolist() == [len(FEATURES), len(FEATURES) / 2]
    without, fewer = fuse(features, weights, 100.0, {"neighbours"})
    assert without[0] == total[0] - len(CHANNELS["neighbours"])
    assert set(shares) - set(fewer) == {"neighbours"}


def test_channels_without_weights_do_not_count() -> None:
    features = {name: np.array([1.0]) for name in FEATURES}
    weights = dict.fromkeys(features_of({"words", "graph"}), (1.0, 1.0))
    total, shares = fuse(features, weights, 100.0)
    assert set(shares) == {"words", "graph"}
    assert total.tolist() == [4.0]


def test_all_channels_off() -> None:
    features = {name: np.array([1.0]) for name in FEATURES}
    total, shares = fuse(features, dict.fromkeys(FEATURES, (1.0, 1.0)), 100.0, set(CHANNELS))
    assert total.size == 0
    assert shares == {}


@pytest.mark.parametrize("mean_length", [50.0, 5000.0])
def test_fit_finds_the_feature_that_tells(mean_length: float) -> None:
    random = np.random.default_rng(1)
    examples: list[Example] = []
    for _ in range(40):
        features = random.random((12, len(FEATURES))).astype(np.float32)
        best = [int(features[:, FEATURES.index("word")].argmax())]
        examples.append(Example(features, best, mean_length, "invented"))
    weights = fit_weights(examples, steps=60)
    side = 0 if mean_length < 500 else 1
    assert max(weights, key=lambda n: weights[n][side]) == "word"
    assert weights == fit_weights(examples, steps=60)


def test_fit_is_of_the_features_asked_for() -> None:
    random = np.random.default_rng(2)
    examples = [
        Example(random.random((5, len(FEATURES))).astype(np.float32), evidence, 50.0, "invented")
        for evidence in ([1], [2, 3], [])
    ]
    names = features_of({"words", "time"})
    assert tuple(fit_weights(examples, names, steps=5)) == names
