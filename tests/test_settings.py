"""Settings: flag before environment before file before default, and clear refusals."""

from pathlib import Path

import pytest

from ttrpg_mcp.settings import Settings, SettingsRefused, data_folder, load_settings


def test_nothing_given_means_stdio_and_the_platforms_folder() -> None:
    settings = load_settings({}, {"HOME": "/home/mira"})

    assert Settings(data=Path("/home/mira/.local/share/ttrpg-mcp")) == settings


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 1\nhost = "::1"\ninteractive_s = 3\n')
    environment = {"HOME": "/h", "TTRPG_MCP_PORT": "2", "TTRPG_MCP_HOST": "localhost"}

    settings = load_settings({"port": "3", "config": str(file), "host": None}, environment)

    assert (3, "localhost", 3.0) == (settings.port, settings.host, settings.interactive_s)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("port", "90000", "port must be a whole number from 0 to 65535 (it is '90000')."),
        ("port", "x", "port is not a number (it is 'x')."),
        ("drain_s", "nan", "drain_s must be a number of seconds from 0 to 2 (it is 'nan')."),
        ("http", "perhaps", "http must be on or off (it is 'perhaps')."),
        ("tools", "dice,cards", "tools names the unknown family 'cards'"),
        ("log_level", "loud", "log_level must be one of debug, info, warning, error (it is 'loud')."),
        ("data", "here", "data must be an absolute path"),
        ("config", "/no/such/file.toml", "config is not a file"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_one_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_settings({name: value}, {"HOME": "/h"})

    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org"])  # noqa: S104 - refused
def test_http_on_an_address_that_others_can_reach_is_refused(host: str) -> None:
    with pytest.raises(SettingsRefused, match="cannot be told apart"):
        load_settings({"http": True, "host": host}, {"HOME": "/h"})


@pytest.mark.parametrize(("text", "fragment"), [("port = [", "cannot be read"), ("prot = 1", "unknown setting 'prot'")])
def test_a_file_that_is_not_understood_is_refused(tmp_path: Path, text: str, fragment: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)

    with pytest.raises(SettingsRefused, match=fragment):
        load_settings({"config": str(file)}, {"HOME": "/h"})


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/ttrpg-mcp"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/ttrpg-mcp"),
        ("win32", {"USERPROFILE": "/u", "LOCALAPPDATA": "/l"}, "/l/ttrpg-mcp"),
    ],
)
def test_each_platform_has_its_own_data_folder(platform: str, environment: dict[str, str], expected: str) -> None:
    assert Path(expected) == data_folder(environment, platform)
