import re
import sys

import pytest

from rk_exporter.config.config import Config, with_fixed_options
from rk_exporter.config.loader import load
from rk_exporter.config.parsers import Address
from rk_exporter.config.sources import ConfigError
from rk_exporter.config.webhook_options import DEFAULT_KEY_URL, parse_target_url
from tests.support.configs import ENVIRONMENT, settings


def configured(**values: str) -> Config:
    return load(None, settings(**values), ENVIRONMENT)


def error_of(**values: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(**values)
    return str(caught.value)


def test_off() -> None:
    """Webhooks are off by default, also without the package that they need."""
    assert configured().webhook_address is None


def test_on() -> None:
    """An address switches them on; the key comes from RealtimeKit's own URL."""
    config = configured(webhook__listen_address="127.0.0.1:10060")
    assert config.webhook_address == Address("127.0.0.1", 10060)
    assert config.webhook_key_url == DEFAULT_KEY_URL
    assert config.webhook_key_file is None


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert error_of(webhook__listen_address=":10060") == (
        "--webhook.listen_address: needs the package cryptography; install it with "
        "pip install 'rk-exporter[webhooks]'"
    )
    assert configured().webhook_address is None
    with pytest.raises(ValueError, match="needs the package cryptography"):
        parse_target_url("http://127.0.0.1:10060/webhooks/realtimekit")


@pytest.mark.parametrize("text", ["10060", ":x", "http://a", ":99999"])
def test_bad_address(text: str) -> None:
    """An address that cannot be used is refused, with an example."""
    assert "invalid address" in error_of(webhook__listen_address=text)


@pytest.mark.parametrize(
    "url", ["", "key.pem", "ftp://a/b", "https://user:word@host/x", "https://"]
)
def test_bad_url(url: str) -> None:
    """A text that is no URL is refused; it is not shown, because it may contain a password."""
    message = error_of(webhook__listen_address=":10060", webhook__public_key_url=url)
    assert message == f"--webhook.public_key_url: must be a URL, e.g. {DEFAULT_KEY_URL}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        *(
            (url, "must be a URL, e.g. http://127.0.0.1:10060/webhooks/realtimekit")
            for url in (
                *("", "x", " ", "ftp://a", "http://", "http://a:99999/x", "http://[::1/x"),
                *("http://u:canary@a/x", "http://a/x?key=canary", "http://a/\0", "http://ü/x"),
            )
        ),
        ("https://a.example/x", "must begin with http://"),
    ],
)
def test_bad_target(url: str, message: str) -> None:
    """The simulated API sends events to a URL with http only; a password is not repeated."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        parse_target_url(url)
    assert "canary" not in str(caught.value)


def test_clear_text() -> None:
    """A key that is read without TLS could be anybody's, except from this machine."""
    url = "http://keys.example/webhooks.json"
    message = error_of(webhook__listen_address=":10060", webhook__public_key_url=url)
    assert "must begin with https://" in message
    local = "http://127.0.0.1:10059/.well-known/webhooks.json"
    config = configured(webhook__listen_address=":10060", webhook__public_key_url=local)
    assert config.webhook_key_url == local


@pytest.mark.parametrize(
    ("option", "value"), [("public_key_url", DEFAULT_KEY_URL), ("public_key_file", "key.pem")]
)
def test_without_address(option: str, value: str) -> None:
    """A key without an address to listen on is a mistake."""
    message = error_of(**{f"webhook__{option}": value})
    assert message == (
        f"--webhook.{option}: has no effect without webhook.listen_address; set both, or leave it "
        "out"
    )


def test_two_keys() -> None:
    """A file and a URL for the key exclude each other."""
    message = error_of(
        webhook__listen_address=":10060",
        webhook__public_key_url=DEFAULT_KEY_URL,
        webhook__public_key_file="key.pem",
    )
    assert "cannot be combined with webhook.public_key_url" in message


def test_reload() -> None:
    """A reload does not change where events are received."""
    before = configured(webhook__listen_address=":10060")
    after, fixed = with_fixed_options(configured(), before)
    assert after.webhook_address == Address("", 10060)
    assert fixed == ("webhook.listen_address",)
