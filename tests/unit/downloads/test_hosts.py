import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.downloads.hosts import (
    HostPattern,
    RefusedHost,
    Target,
    download_rules,
    parse_pattern,
    parse_target,
)
from rk_exporter.model.secret import Secret


RULES = download_rules([parse_pattern("files.example.com"), parse_pattern("localhost:8443")])
SIGNED = "?X-Amz-Signature=SIGNATURE"


def target(url: str) -> Target:
    return parse_target(Secret(url), RULES)


@pytest.mark.parametrize(
    "host",
    [
        "account.r2.cloudflarestorage.com",
        "bucket.account.eu.r2.cloudflarestorage.com",
        "storage.googleapis.com",
        "bucket.storage.googleapis.com",
        "bucket.s3.amazonaws.com",
        "bucket.s3.eu-central-1.amazonaws.com",
        "s3.eu-central-1.amazonaws.com",
        "bucket.s3.dualstack.eu-central-1.amazonaws.com",
        "bucket.s3-accelerate.amazonaws.com",
        "bucket.s3.cn-north-1.amazonaws.com.cn",
        "account.blob.core.windows.net",
        "bucket.fra1.digitaloceanspaces.com",
        "files.example.com",
        "EU.Files.Example.COM",
    ],
)
def test_usual_storages(host: str) -> None:
    """The storages that RealtimeKit supports are allowed, and hosts of the configuration."""
    found = target(f"https://{host}/recordings/a%20b.mp4{SIGNED}")
    expected = Target(host.lower(), 443, f"/recordings/a%20b.mp4{SIGNED}")
    assert expected == found
    assert host.lower() == found.host_header


@pytest.mark.parametrize(
    "url",
    [
        f"http://files.example.com/a.mp4{SIGNED}",
        f"ftp://files.example.com/a.mp4{SIGNED}",
        f"//files.example.com/a.mp4{SIGNED}",
        f"https:files.example.com/a.mp4{SIGNED}",
        f"https://user@files.example.com/a.mp4{SIGNED}",
        f"https://user:password@files.example.com/a.mp4{SIGNED}",
        f"https://files.example.com@169.254.169.254/a.mp4{SIGNED}",
        f"https://169.254.169.254#@files.example.com/a.mp4{SIGNED}",
        f"https://169.254.169.254\\@files.example.com/a.mp4{SIGNED}",
        f"https://files.example.com\\.evil.test/a.mp4{SIGNED}",
        f"https://files.example.com:8443/a.mp4{SIGNED}",
        f"https://files.example.com:0/a.mp4{SIGNED}",
        f"https://files.example.com:65979/a.mp4{SIGNED}",
        f"https://files.example.com:/a.mp4{SIGNED}",
        f"https://localhost/a.mp4{SIGNED}",
        f"https://files.example.com./a.mp4{SIGNED}",
        f"https://files%2eexample.com/a.mp4{SIGNED}",
        f"https://f%69les.example.com/a.mp4{SIGNED}",
        f"https://files.example.com%00.evil.test/a.mp4{SIGNED}",
        f"https://files.example.com.evil.test/a.mp4{SIGNED}",
        f"https://evilfiles.example.com/a.mp4{SIGNED}",
        f"https://ec2-192-0-2-1.eu-central-1.compute.amazonaws.com/a.mp4{SIGNED}",
        f"https://bucket.s3.a.b.amazonaws.com/a.mp4{SIGNED}",
        f"https://f\u0131les.example.com/a.mp4{SIGNED}",
        f"https://files。example。com/a.mp4{SIGNED}",
        f"https://xn--fles-1pa.example.com/a.mp4{SIGNED}",
        f"https://127.0.0.1/a.mp4{SIGNED}",
        f"https://2130706433/a.mp4{SIGNED}",
        f"https://0x7f.1/a.mp4{SIGNED}",
        f"https://[::1]/a.mp4{SIGNED}",
        f"https://[::ffff:169.254.169.254]/a.mp4{SIGNED}",
        f"https://files..example.com/a.mp4{SIGNED}",
        f"https://.files.example.com/a.mp4{SIGNED}",
        f"https://{'a' * 64}.files.example.com/a.mp4{SIGNED}",
        f"https://{'a.' * 130}files.example.com/a.mp4{SIGNED}",
        f"https://files.example.com/a b.mp4{SIGNED}",
        f"https://files.example.com/a.mp4{SIGNED}\r\nX-Injected: yes",
        f"https://files.example.com/a.mp4{SIGNED}\n",
        f"https://files.example.com/\u00e4.mp4{SIGNED}",
        f" https://files.example.com/a.mp4{SIGNED}",
        "https://",
        "",
    ],
)
def test_refused(url: str) -> None:
    """Other hosts, and forms that parsers read differently, are refused without the URL."""
    with pytest.raises(RefusedHost) as caught:
        target(url)
    assert "SIGNATURE" not in str(caught.value)
    assert "SIGNATURE" not in repr(caught.value)


def test_port_of_the_configuration() -> None:
    """A port is allowed only if the configuration names it."""
    found = target("https://localhost:8443/a.mp4")
    assert ("localhost", 8443, "localhost:8443") == (found.host, found.port, found.host_header)


def test_url_without_a_path() -> None:
    """A query without a path has the path of the root."""
    assert "/?key=a" == target("https://files.example.com?key=a").path
    assert "/" == target("https://files.example.com").path


def test_target_shows_no_path() -> None:
    """The path, which has the signature, is not in the text of a target."""
    assert "SIGNATURE" not in repr(target(f"https://files.example.com/a{SIGNED}"))


@given(st.from_regex(r"[a-z0-9]{1,9}(\.[a-z0-9]{1,9}){0,4}", fullmatch=True))
def test_no_other_host_matches(host: str) -> None:
    """A host matches only if it is, or is below, a host in the list."""
    pattern = parse_pattern("example.com")
    is_below = host == "example.com" or host.endswith(".example.com")
    assert is_below == pattern.matches(host, 443)


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """Whatever a URL is, it is refused or has an allowed host."""
    try:
        found = target(f"https://{text}")
    except RefusedHost:
        return
    assert any(pattern.matches(found.host, found.port) for pattern in RULES.hosts)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("Example.com", HostPattern(("example", "com"))),
        ("minio", HostPattern(("minio",))),
        ("minio.example.com:9000", HostPattern(("minio", "example", "com"), 9000)),
        ("s3.*.example.com", HostPattern(("s3", "*", "example", "com"))),
        ("192.0.2.1", HostPattern(("192", "0", "2", "1"))),
    ],
)
def test_patterns(text: str, pattern: HostPattern) -> None:
    """An entry of the list is a host, perhaps with a port; a `*` stands for one label."""
    assert pattern == parse_pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "https://example.com", "example.com/", "a b", "*", "example.*", "[::1]", "a..b"),
        *("example.com:0", "example.com:65536", "example.com:", "user@example.com", "-a.com"),
        *("exämple.com", "a*.example.com", "example.com.", ".", "*.com", "*.*", "*.*.com"),
    ],
)
def test_invalid_patterns(text: str) -> None:
    """Other entries are refused with an example."""
    with pytest.raises(ValueError, match="write"):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "host", "is_allowed"),
    [
        ("minio", "minio", True),
        ("minio", "evil.minio", False),
        ("com", "example.com", False),
        ("com", "com", True),
        ("example.com", "files.example.com", True),
    ],
)
def test_single_label(pattern: str, host: str, *, is_allowed: bool) -> None:
    """A name without a dot is that host alone, so that `com` does not allow half the internet."""
    assert is_allowed == parse_pattern(pattern).matches(host, 443)
