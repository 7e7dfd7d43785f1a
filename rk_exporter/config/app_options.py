"""The options of one app, each declared once."""

from dataclasses import dataclass, replace
from pathlib import Path

from rk_exporter.config import parsers
from rk_exporter.config.archive_options import ArchiveOptions
from rk_exporter.config.download_hosts import parse_hosts
from rk_exporter.config.option import Option, declare, options_of
from rk_exporter.config.ranges import Counts
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.downloads.hosts import HostPattern
from rk_exporter.model.ids import parse_id
from rk_exporter.model.meeting import Meeting, ReadMode


# A token pasted in the place of its file's path must not be printed.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AppOptions(ArchiveOptions):
    """The options of one app, at the top of the file or in an entry of `apps`."""

    name: str | None = declare(
        "Value of the label `rk_app`; without it, the app's id.",
        Option("", parsers.parse_app_name, "NAME", example="production", path_in_app="name"),
    )
    account_id: str | None = declare(
        "Cloudflare account that owns the app.",
        Option(
            "account_id",
            parse_id,
            "ID",
            example="023e105f4ecef8ad9ca31a8372d0c353",
            custom_variable="CLOUDFLARE_ACCOUNT_ID",
        ),
    )
    app_id: str | None = declare(
        "RealtimeKit app.",
        Option("app_id", parse_id, "ID", example="2a95132c-1573-2412-d22c-16fd0a01e000"),
    )
    meetings: tuple[Meeting, ...] = declare(
        "Meetings to read.",
        Option(
            "meeting_ids",
            parsers.parse_meetings,
            "ID",
            example="[id1, {id: id2, name: weekly review}]",
            path_in_app="meetings.ids",
            is_list=True,
            custom_flag="--meeting-id",
        ),
    )
    meeting_file_paths: tuple[Path, ...] = declare(
        "Files with lists of meetings, reloaded when they change.",
        Option(
            "meetings.files",
            parsers.parse_paths,
            "PATH",
            example="[meetings.yml]",
            is_list=True,
            is_file=True,
            custom_flag="--meetings.file",
            custom_variable="RK_MEETINGS_FILE",
        ),
    )
    discover: bool = declare(
        "Also read live meetings, which the API lists.",
        Option("meetings.discover", parsers.parse_switch),
    )
    token_file: Path | None = declare(
        f"File with the API token, reloaded when it changes; or set {TOKEN_VARIABLE}.",
        Option(
            "api.token_file",
            Path,
            "PATH",
            example="/run/secrets/cloudflare-api-token",
            path_in_app="api_token_file",
            is_file=True,
        ),
    )
    token_variable: str | None = declare(
        "Environment variable with the API token.",
        Option(
            "",
            parsers.parse_variable_name,
            "NAME",
            example="ACME_API_TOKEN",
            path_in_app="api_token_env",
        ),
    )
    budget: int = declare(
        "Calls per 5 minutes; Cloudflare allows 1200 for all tools of a user.",
        Option("api.budget", Counts("1", "100000", "calls per 5 minutes"), "N", default="600"),
    )
    budget_group: str | None = declare(
        "Name for the Cloudflare user of the token; the apps of one user share a budget.",
        Option("", parsers.parse_app_name, "NAME", example="acme", path_in_app="budget_group"),
    )
    read: ReadMode | None = declare(
        "Read each meeting's active recording, or the app's list of recordings.",
        Option("api.read", parsers.parse_read, "|".join(parsers.READ_CHOICES), default="auto"),
    )
    verify_downloads: bool = declare(
        "Check that the files of finished recordings can be downloaded: the first bytes, after the "
        "upload, once a day, and 24 hours and an hour before the download URL expires.",
        Option("downloads.verify", parsers.parse_switch),
    )
    download_hosts: tuple[HostPattern, ...] = declare(
        "Hosts of download URLs that may be requested, besides those of the storages that "
        "RealtimeKit supports; an entry includes all hosts below it.",
        Option(
            "downloads.allowed_hosts",
            parse_hosts,
            "HOST",
            example="[files.example.com, minio.example.com:9000]",
            is_list=True,
        ),
    )
    allow_private_addresses: bool = declare(
        "Also request files from hosts with private addresses, e.g. a storage of your own.",
        Option("downloads.allow_private_addresses", parsers.parse_switch),
    )


# In an entry of `apps`, the options of the API are not in a section of their own.
APP_OPTIONS = {
    name: replace(option, path_in_app=option.path_in_app or option.path.removeprefix("api."))
    for name, option in options_of(AppOptions).items()
}
