"""Budgets stop before the next call, and say what was spent."""

import pytest

from operators.llm.budget import Budget
from operators.llm.errors import BudgetReachedError, ModelUnavailableError


def test_without_bounds_nothing_stops():
    budget = Budget()
    budget.spend(10**9, 1e6)
    budget.check()


def test_tokens_are_bounded():
    budget = Budget(max_tokens=100)
    budget.check()
    budget.spend(99, 0.0)
    budget.check()
    budget.spend(1, 0.0)
    with pytest.raises(BudgetReachedError, match=r"--max-tokens 100 is used up: 2 calls took 100"):
        budget.check()


def test_cost_is_bounded():
    budget = Budget(max_cost=0.5)
    budget.spend(10, 0.25)
    budget.check()
    budget.spend(10, 0.25)
    with pytest.raises(BudgetReachedError, match=r"--max-cost 0.5 .* 0.5000 US dollars"):
        budget.check()


def test_no_budget_is_used_up_at_once():
    with pytest.raises(ModelUnavailableError):
        Budget(max_tokens=0).check()
