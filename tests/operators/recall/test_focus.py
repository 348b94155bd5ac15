import pytest

from operators.recall.focus import focus


@pytest.mark.parametrize(
    ("question", "about"),
    [
        (
            "Can you list the order in which I brought up different aspects of my garden "
            "throughout our conversations, in order? Mention ONLY four items.",
            "my garden ?",
        ),
        (
            "Could you please give me a short summary of my trips across all our chats?",
            "my trips ?",
        ),
        ("Which boat did I say I wanted to paint?", "Which boat I wanted to paint?"),
        ("Where does Ada keep the boat?", "Where does Ada keep the boat?"),
        (
            "What did Ada say about sessions at the gym?",
            "What did Ada say about sessions at the gym?",
        ),
        ("Summarize.", "Summarize."),
        ("", ""),
    ],
)
def test_focus(question: str, about: str) -> None:
    assert focus(question) == about
