"""How much the calls of a run may take."""

from dataclasses import dataclass

from operators.llm.errors import BudgetReachedError


@dataclass
class Budget:
    """Bounds of tokens and cost, and what has been spent of them.

    It is checked before a call is sent; calls in flight then still end, so a run can go past
    its bound by at most the calls in flight. Answers that are recorded cost nothing.

    Attributes:
        max_tokens: tokens of prompts and answers together, cached ones included; None: no bound.
        max_cost: US dollars, by the `price` of the models; None: no bound.
        tokens: spent so far.
        cost: spent so far, US dollars.
        calls: answered so far.
    """

    max_tokens: int | None = None
    max_cost: float | None = None
    tokens: int = 0
    cost: float = 0.0
    calls: int = 0

    def spend(self, tokens: int, cost: float) -> None:
        """Note an answered call."""
        self.tokens += tokens
        self.cost += cost
        self.calls += 1

    def check(self) -> None:
        """Pass, if another call may be sent.

        Raises:
            BudgetReachedError: nothing of the budget is left.
        """
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            raise BudgetReachedError(self._message(f"--max-tokens {self.max_tokens:,}"))
        if self.max_cost is not None and self.cost >= self.max_cost:
            raise BudgetReachedError(self._message(f"--max-cost {self.max_cost:g}"))

    def _message(self, bound: str) -> str:
        return (
            f"The budget of {bound} is used up: {self.calls:,} calls took {self.tokens:,} tokens "
            f"and {self.cost:.4f} US dollars. What they answered is kept. To go on from here, run "
            "the same command again; each run has a budget of its own."
        )
