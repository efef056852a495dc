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
module.register(None, "add_destination_ips_to_ioc_collection")
module.register(None, "add_ioc_to_ioc_collection")
module.register(None, "revoke_ioc")
module.register(None, "check")
