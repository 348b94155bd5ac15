"""Tells a call that fails from an endpoint that is down."""

_CALLS_WITHOUT_ANSWER = 20


class Health:
    """What became of the latest attempts at an endpoint.

    A call that fails alone may itself be the reason: some servers answer some inputs by 500
    whenever they are asked. So the endpoint counts as down only if it cannot be connected to
    and has answered nothing since the call began, or if many different calls have failed in
    a row, with no answer in between.
    """

    def __init__(self) -> None:
        self.answers = 0
        self._failing: set[str] = set()

    def answered(self) -> None:
        """An attempt got an answer, a refusal included."""
        self.answers += 1
        self._failing.clear()

    def failed(self, call_id: str) -> None:
        """An attempt at this call failed."""
        self._failing.add(call_id)

    def is_down(self, *, unreachable: bool, answers_before: int) -> bool:
        """Whether no call can be expected to be answered.

        Args:
            unreachable: the latest attempt of the call could not even connect.
            answers_before: `answers` when the call began.
        """
        if unreachable and self.answers == answers_before:
            return True
        return len(self._failing) >= _CALLS_WITHOUT_ANSWER
