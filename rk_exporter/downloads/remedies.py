"""What to do about a download that does not work, for log lines."""

from collections.abc import Mapping

from rk_exporter.model.download import CheckFailure


REMEDIES: Mapping[CheckFailure, str] = {
    CheckFailure.GONE: "look for a copy; if there is none, report the lost file to the vendor",
    CheckFailure.FORBIDDEN: "fetch the recording again for a new URL; if that is refused too, "
    "check the storage's permissions",
    CheckFailure.SIZE_MISMATCH: "download the file and play its end; it may be cut off",
    CheckFailure.EMPTY: "look for a copy; the file has no content",
    CheckFailure.NOT_MEDIA: "download the file and look at it; it is no recording",
    CheckFailure.TLS: "check what stands between the exporter and the storage, and SSL_CERT_FILE",
    CheckFailure.CONNECT: "allow connections from the exporter to the storage; no proxy is used",
    CheckFailure.TIMEOUT: "allow connections from the exporter to the storage; no proxy is used",
    CheckFailure.REFUSED_HOST: "if the host is yours, add it to downloads.allowed_hosts",
    CheckFailure.SERVER_ERROR: "wait for the next check; the storage answers with an error",
}
