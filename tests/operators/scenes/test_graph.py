from hypothesis import given
from hypothesis import strategies as st

from operators.scenes.communities import Clustering, node_name
from operators.scenes.graph import Node, build, content_words
from tests.effort import examples

WORDS = ["harbour", "lantern", "violin", "cinnamon", "Ann", "Ben", "yes"]


@st.composite
def talks(draw):
    nodes = [
        Node(
            " ".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))),
            draw(st.sampled_from(["Ann", "Ben"])),
            f"s{at // 5}",
            f"cell{at // 2}",
        )
        for at in range(draw(st.integers(2, 20)))
    ]
    pairs = st.tuples(st.integers(0, len(nodes) - 1), st.integers(0, len(nodes) - 1))
    chosen = draw(st.dictionaries(pairs, st.sampled_from([0.3, 0.5, 0.9]), max_size=30))
    return nodes, {pair: score for pair, score in chosen.items() if pair[0] < pair[1]}


@examples(60)
@given(talks(), st.integers(0, 20))
def test_the_graph_of_a_prefix_is_part_of_the_graph(talk, size):
    """What the first facts look like must not depend on what is said later."""
    nodes, associated = talk
    # Replies without a word are passed over, so the part ends with what was said in full.
    whole = build(nodes, associated, [])
    part = build(nodes[:size], {p: s for p, s in associated.items() if p[1] < size}, [])
    assert part.weights == {p: w for p, w in whole.weights.items() if p[1] < size}
    assert part.words == whole.words[:size]
    assert part.firm == {pair for pair in whole.firm if pair[1] < size}


def test_shared_words_weigh_more_than_likeness_alone_and_names_of_speakers_nothing():
    texts = [
        "Ann painted a harbour lantern",
        "Ann painted the other harbour lantern",
        "Ann bought cinnamon violin strings",
    ]
    nodes = [Node(text, "Ann", f"s{at}", f"c{at}") for at, text in enumerate(texts)]
    graph = build(nodes, {(0, 1): 0.5, (0, 2): 0.5}, [])
    assert graph.weights[0, 1] > 3 * graph.weights[0, 2]
    assert graph.firm == {(0, 1)}
    assert not any("ann" in words for words in graph.words)


def test_content_words():
    text = "Thanks, it's https://shop.example.org/lamp 3 lanterns (12 May 2024)! Café au lait"
    assert content_words(text) == {"lantern", "café", "lait", "au"}


@st.composite
def edge_lists(draw):
    pairs = st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1])
    weights = st.integers(1, 99).map(lambda weight: weight / 100)
    return sorted(draw(st.dictionaries(pairs, weights, min_size=1, max_size=25)).items())


@examples(100)
@given(edge_lists(), st.sampled_from([0.02, 0.1, 0.3]), st.randoms())
def test_communities_are_connected_and_better_apart(edges, resolution, rng):
    """The guarantees of Leiden, checked from the definition of the quality."""
    named = [(node_name(one), node_name(other), weight) for (one, other), weight in edges]
    nodes = sorted({node for pair, _ in edges for node in pair})
    former = [tuple(nodes[at::3]) for at in range(3) if nodes[at::3]]
    former = rng.choice([[], former])
    found = Clustering(resolution, 40).find(named, former)
    assert sorted(node for one in found for node in one) == nodes
    weight_of = dict(edges)

    def between(one, other):
        return sum(weight_of.get((min(a, b), max(a, b)), 0) for a in one for b in other)

    for at, one in enumerate(found):
        reached, border = {one[0]}, [one[0]]
        while border:
            node = border.pop()
            more = {n for n in one if n not in reached and between([n], [node])}
            reached |= more
            border += more
        assert reached == set(one)
        for other in found[at + 1 :]:
            gain = between(one, other) - resolution * len(one) * len(other)
            assert gain <= 1e-9, "together they would be better"
