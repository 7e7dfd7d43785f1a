"""The options of one app, each declared once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rk_exporter.config.option import Option, options_of
from rk_exporter.config.parsers import (
    READ_CHOICES,
    count,
    parse_meetings,
    parse_name,
    parse_paths,
    parse_read,
    parse_switch,
    parse_variable_name,
)
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.model.ids import parse_id
from rk_exporter.model.meeting import Meeting, ReadMode


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """The options of one app, at the top of the file or in an entry of `apps`."""

    name: Annotated[
        str | None,
        Option("", parse_name, metavar="NAME", example="production", path_in_app="name"),
        "Value of the label `rk_app`; without it, the app's id.",
    ]
    account_id: Annotated[
        str | None,
        Option(
            "account_id",
            parse_id,
            metavar="ID",
            example="023e105f4ecef8ad9ca31a8372d0c353",
            path_in_app="account_id",
            is_inherited=True,
            custom_variable="CLOUDFLARE_ACCOUNT_ID",
        ),
        "Cloudflare account that owns the app.",
    ]
    app_id: Annotated[
        str | None,
        Option(
            "app_id",
            parse_id,
            metavar="ID",
            example="2a95132c-1573-2412-d22c-16fd0a01e000",
            path_in_app="app_id",
        ),
        "RealtimeKit app.",
    ]
    meetings: Annotated[
        tuple[Meeting, ...],
        Option(
            "meeting_ids",
            parse_meetings,
            metavar="ID",
            example="[id1, {id: id2, name: weekly review}]",
            path_in_app="meetings.ids",
            is_list=True,
            custom_flag="--meeting-id",
        ),
        "Meetings to read.",
    ]
    meeting_files: Annotated[
        tuple[Path, ...],
        Option(
            "meetings.files",
            parse_paths,
            metavar="PATH",
            example="[meetings.yml]",
            path_in_app="meetings.files",
            is_list=True,
            is_file=True,
            custom_flag="--meetings.file",
            custom_variable="RK_MEETINGS_FILE",
        ),
        "Files with lists of meetings, reloaded when they change.",
    ]
    discover: Annotated[
        bool,
        Option("meetings.discover", parse_switch, path_in_app="meetings.discover"),
        "Also read live meetings, which the API lists.",
    ]
    token_file: Annotated[
        Path | None,
        Option(
            "api.token_file",
            Path,
            metavar="PATH",
            example="/run/secrets/cloudflare-api-token",
            path_in_app="api_token_file",
            is_inherited=True,
            is_file=True,
        ),
        f"File with the API token, reloaded when it changes; or set {TOKEN_VARIABLE}.",
    ]
    token_variable: Annotated[
        str | None,
        Option(
            "",
            parse_variable_name,
            metavar="NAME",
            example="ACME_API_TOKEN",
            path_in_app="api_token_env",
        ),
        "Environment variable with the API token.",
    ]
    budget: Annotated[
        int,
        Option(
            "api.budget",
            count(largest=100_000, unit="calls per 5 minutes"),
            metavar="N",
            default="600",
            path_in_app="budget",
            is_inherited=True,
        ),
        "Calls per 5 minutes and token; Cloudflare allows 1200 for all tools of a user.",
    ]
    read: Annotated[
        ReadMode | None,
        Option(
            "api.read",
            parse_read,
            metavar="|".join(READ_CHOICES),
            default="auto",
            path_in_app="read",
            is_inherited=True,
        ),
        "Read each meeting's active recording, or the app's list of recordings.",
    ]


APP_OPTIONS = options_of(AppOptions)
