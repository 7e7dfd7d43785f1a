"""A real Prometheus answers the queries about options that most exporters do not have."""

import json

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.exporters import announced, archived, of_account, scrape, sharded
from tests.support.monitoring import shortened
from tests.support.monitoring.grafana import Question, questions
from tests.support.monitoring.series import OF_OPTIONS
from tests.support.monitoring.servers import eventually, started_prometheus
from tests.support.monitoring.views import answer
from tests.support.serving import served


# What these exporters show does not change, so no list takes time, and all files have expired.
WITHOUT_DATA = ("RealtimeKit / Overview, Expiring files", "RealtimeKit / Exporter, List duration")
NO_CHANGE = (None, "only NaN")


def shown_by(text: str) -> Any:
    """Return an ASGI application that always shows the same exposition."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(text, send)

    return application


def questions_about_options(root: Path) -> list[Question]:
    """Return the queries of all dashboards about options."""
    files = sorted((root / "dashboards").glob("*.json"))
    chosen = {"meeting": ".*", "recording": ".*"}
    found = [
        question for file in files for question in questions(json.loads(file.read_text()), chosen)
    ]
    return [
        question
        for question in found
        if OF_OPTIONS.search(question.promql) and not question.place.startswith(WITHOUT_DATA)
    ]


def test_every_query_has_data(prometheus: str, root: Path, tmp_path: Path) -> None:
    """Each query about an option succeeds, and returns something, if an exporter has it."""
    texts = (
        announced(),
        archived(),
        scrape(of_account(tmp_path)),
        scrape(sharded(tmp_path)),
    )
    with ExitStack() as stack:
        targets = [stack.enter_context(served(shown_by(text))) for text in texts]
        server = stack.enter_context(
            started_prometheus(
                prometheus,
                tmp_path,
                targets={shortened.JOB: [url.removeprefix("http://") for url in targets]},
                rule_files=[],
            )
        )
        lacking = questions_about_options(root)
        assert lacking

        def all_have_data() -> bool:
            lacking[:] = [
                question for question in lacking if question.lack(server) not in NO_CHANGE
            ]
            return not lacking

        eventually(
            all_have_data,
            what="every query has data",
            details=lambda: "\n".join(
                f"{question.place}: {question.lack(server)}: {question.promql}"
                for question in lacking
            ),
        )
