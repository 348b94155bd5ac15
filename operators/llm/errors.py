"""Errors that stop a run because of its models, not because of an input."""


class ModelUnavailableError(RuntimeError):
    """A model cannot be reached: the run stops, because no input is to blame."""


class BudgetReachedError(ModelUnavailableError):
    """A budget of tokens or cost is used up: the run stops, and can go on later."""
