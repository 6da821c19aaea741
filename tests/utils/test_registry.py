import sys

import pytest

from utils.errors import UserError
from utils.registry import Registry


def test_register_get_info_and_order():
    registry = Registry("teacher")

    @registry.register("late", priority=1, dim=3)
    class Late: ...

    @registry.register("alpha")
    def alpha(): ...

    assert registry.get("late") is Late and registry.info("late") == {"priority": 1, "dim": 3}
    assert registry.names() == ["alpha", "late"] and "late" in registry and "x" not in registry
    assert [name for name, _ in registry.items()] == ["late", "alpha"]


def test_unknown_name_tells_the_nearest_and_all():
    registry = Registry("teacher")
    registry.register("classical")(int)
    registry.register("oracle")(str)
    with pytest.raises(UserError, match="unknown teacher 'clasical'; did you mean 'classical'.*classical, oracle"):
        registry.get("clasical")
    with pytest.raises(UserError, match="unknown loss 'l1'; known: none"):
        Registry("loss").get("l1")


def test_two_objects_of_one_name_are_an_error_but_a_reload_is_not():
    registry = Registry("format")
    registry.register("ply")(int)
    registry.register("ply")(int)
    with pytest.raises(ValueError, match="twice"):
        registry.register("ply")(str)


def test_discover_imports_modules_without_underscore(tmp_path, monkeypatch):
    package = tmp_path / "rooms_for_test"
    package.mkdir()
    (package / "__init__.py").write_text("from utils.registry import Registry\nROOMS = Registry('room')\n")
    (package / "one.py").write_text("from rooms_for_test import ROOMS\n@ROOMS.register('one')\nclass One: ...\n")
    (package / "_hidden.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    import rooms_for_test

    assert rooms_for_test.ROOMS.discover("rooms_for_test").discover(rooms_for_test).names() == ["one"]
    del sys.modules["rooms_for_test"], sys.modules["rooms_for_test.one"]
