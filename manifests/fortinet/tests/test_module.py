"""The files of this module agree with one another."""

import importlib.util
import json
import uuid
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent


def read(name: str) -> dict:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def actions() -> list[dict]:
    return [read(path.name) for path in sorted(FOLDER.glob("action_*.json"))]


def test_main_names_every_action_once() -> None:
    spec = importlib.util.spec_from_file_location("module_main", FOLDER / "main.py")
    assert spec is not None and spec.loader is not None
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)
    commands = [action["docker_parameters"] for action in actions()]
    assert commands
    assert sorted(main.module.names) == sorted(commands)


def test_uuids_are_uuids_and_differ() -> None:
    uuids = [read("manifest.json")["uuid"]] + [action["uuid"] for action in actions()]
    assert [str(uuid.UUID(text)) for text in uuids] == uuids
    assert len(set(uuids)) == len(uuids)


def test_secrets_are_fields() -> None:
    configuration = read("manifest.json")["configuration"]
    assert set(configuration["secrets"]) <= set(configuration["properties"])
