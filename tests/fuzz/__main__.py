"""
Fuzz one target, or all of them side by side, guided by the coverage of the exporter's code.

    make fuzz SECONDS=60
    .venv/bin/python -m tests.fuzz payloads --seconds 60

It begins with the files in `corpus/TARGET`. An input that fails is written to `crash-…` in the
working directory: mend the fault, and add the input to the corpus under a name that says what it
is.
"""

import argparse
import sys

from collections.abc import Callable
from tempfile import mkdtemp
from time import process_time

import atheris  # type: ignore[import-untyped] # its stubs are for another version

from tests.fuzz.campaign import CORPUS, run_all
from tests.fuzz.documents import FORMS, mutate


# Those of the processor, so that a busy machine finds no faults.
_LONGEST_CPU_SECONDS = 1.0
_LONGEST_SECONDS, _MOST_MEBIBYTES, _LONGEST_BYTES = 10, 200, 16_384


def main() -> None:
    """Fuzz the target that the arguments name, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", nargs="?", help="by default all, as many as there are processors")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    if options.target is None:
        sys.exit(run_all(options.seconds))
    with atheris.instrument_imports(include=["rk_exporter"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 # the import is instrumented
    limits = [
        f"-max_total_time={options.seconds}",
        f"-timeout={_LONGEST_SECONDS}",
        f"-rss_limit_mb={_MOST_MEBIBYTES}",
        f"-max_len={_LONGEST_BYTES}",
        "-print_final_stats=1",
    ]
    words = CORPUS / f"{options.target}.dict"
    limits += [f"-dict={words}"] if words.exists() else []
    # What is found goes into a new folder, so that the corpus stays small.
    folders = [mkdtemp(prefix="corpus-"), str(CORPUS / options.target)]
    atheris.Setup(
        [sys.argv[0], *limits, *folders],
        _limited(TARGETS[options.target]),
        **_mutator(options.target),
    )
    atheris.Fuzz()


def _mutator(target: str) -> dict[str, Callable[[bytes, int, int], bytes]]:
    """Return what changes the inputs, if they are documents; others get changes of bytes."""
    if target not in FORMS:
        return {}
    return {
        "custom_mutator": lambda data, most_bytes, seed: mutate(
            target, data, most_bytes, seed, atheris.Mutate
        )
    }


def _limited(target: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a target that also fails if an input takes too much time of a processor."""

    def run(data: bytes) -> None:
        begun = process_time()
        target(data)
        assert process_time() - begun < _LONGEST_CPU_SECONDS, "the input takes too long"

    return run


if __name__ == "__main__":
    main()
