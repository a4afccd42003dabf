import pytest

from seaway_image import main


def test_settings_come_from_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(main, "run_service", lambda name, settings, _: seen.append((name, settings.http)) or 3)
    assert main.main(["--http", "127.0.0.1:99"]) == 3
    assert seen == [("image", "127.0.0.1:99")]
