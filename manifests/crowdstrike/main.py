"""Names the actions of this module, for tools that look for them here.

The image of the module runs the program `cordon`; no Python is in it.
"""


class Module:
    """Collects the names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def register(self, action: object, name: str) -> None:
        self.names.append(name)


module = Module()
module.register(None, "sync_collection")
module.register(None, "push_indicators")
module.register(None, "block")
module.register(None, "unblock")
module.register(None, "list_blocked")
module.register(None, "remove_expired")
module.register(None, "check")
module.register(None, "push_iocs_block")
module.register(None, "push_iocs_detect")
module.register(None, "block_ioc")
module.register(None, "monitor_ioc")
