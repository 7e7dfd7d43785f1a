"""The options of webhooks: parsers, and what must hold between them."""

from importlib.util import find_spec

from rk_exporter.config.parsers import Address, is_sent_in_clear_text, parse_address, parse_base_url
from rk_exporter.config.sources import ConfigSource


DEFAULT_KEY_URL = "https://api.realtime.cloudflare.com/.well-known/webhooks.json"
_TARGET_URL = "http://127.0.0.1:10060/webhooks/realtimekit"
_ADDRESS = "webhook.listen_address"
_KEY_URL, _KEY_FILE = "webhook.public_key_url", "webhook.public_key_file"
# Verifies signatures. Nothing else needs it, and it is not small.
_PACKAGE = "cryptography"


def parse_webhook_address(text: str) -> Address:
    """Return the address; without the package that verifies signatures, raise ValueError."""
    address = parse_address(text)
    _require_package()
    return address


def parse_target_url(text: str) -> str:
    """Return the URL to which the simulated API sends events, which it does without TLS."""
    try:
        url = parse_base_url(text)
    except ValueError:
        raise ValueError(f"must be a URL, e.g. {_TARGET_URL}") from None
    if not url.lower().startswith("http://"):
        raise ValueError(f"must begin with http://, as {_TARGET_URL}: events are sent without TLS")
    _require_package()
    return url


def _require_package() -> None:
    # Only looked for: an import takes time and memory, also in `check`.
    if find_spec(_PACKAGE) is None:
        raise ValueError(
            f"needs the package {_PACKAGE}; install it with pip install 'rk-exporter[webhooks]'"
        )


def parse_key_url(text: str) -> str:
    """Return the URL of the public key, which must not be read in clear text from afar."""
    try:
        url = parse_base_url(text)
    except ValueError:
        raise ValueError(f"must be a URL, e.g. {DEFAULT_KEY_URL}") from None
    if is_sent_in_clear_text(url):
        raise ValueError("must begin with https://, because anybody could replace the key")
    return url


def check_webhook_options(source: ConfigSource) -> None:
    """Note what is wrong between the options of webhooks."""
    for path in (_KEY_URL, _KEY_FILE):
        if source.is_given(path) and not source.is_given(_ADDRESS):
            source.fail(path, f"has no effect without {_ADDRESS}; set both, or leave it out")
    if source.is_given(_KEY_URL) and source.is_given(_KEY_FILE):
        source.fail(_KEY_FILE, f"cannot be combined with {_KEY_URL}; leave out one of them")
