"""Whether an actor sees the warehouse's folder: journals are there, for all nodes to find."""

from jobs.errors import EngineError
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.staging import Staging


class SharedFolder:
    """Looks once, before an actor is of any use; an actor that Ray moves to another node again.

    Args:
        staging: of the run; None for jobs that are not shared between nodes.
    """

    def __init__(self, staging: Staging | None) -> None:
        self._staging = staging
        self._seen = staging is None

    def require(self) -> None:
        """Pass if this process sees the folder.

        Raises:
            EngineError: it does not. Nothing an actor journals there would be found again.
        """
        if self._seen or self._staging is None:
            return
        try:
            self._staging.require_shared()
        except WarehouseError as error:
            raise EngineError(str(error)) from error
        self._seen = True
